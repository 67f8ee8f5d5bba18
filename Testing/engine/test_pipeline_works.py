"""Unusual input that works: every format, range and geometry that a run has to take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Quality, Similarity
from JointRegSegLib.job.result import LABELS, SEGMENTATION, WARPED_ATLAS
from JointRegSegLib.phantom import PhantomFiles
from JointRegSegLib.volumes import (
    Grid,
    Label,
    LabelMap,
    LabelTable,
    Volume,
    read_affine,
    read_label_map,
    read_volume,
    resample_labels_to,
    write_affine,
    write_label_map,
    write_segmentation,
    write_volume,
)
from Testing.engine.pipeline_cases import Told, mean_dice, request_for, run_quietly


def _labels(told: Told) -> LabelMap:
    return read_label_map(told.result.path(LABELS))


def test_label_values_up_to_65535(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    labels = read_label_map(files.atlas_labels)
    renumber = np.zeros(15, np.uint16)
    renumber[1:] = 65535 - 4000 * np.arange(14)
    table = LabelTable([Label(65535, "the last one", (1, 2, 3))])
    write_label_map(tmp_path / "labels.nrrd", LabelMap(renumber[labels.array], labels.grid, table))
    found = run_quietly(request_for(files, tmp_path / "out", atlas_labels=tmp_path / "labels.nrrd", table=None))
    assert np.array_equal(_labels(found).array, renumber[_labels(told).array])
    segments = read_label_map(found.result.path(SEGMENTATION))
    assert set(segments.table) == {int(value) for value in renumber[1:]}


def test_one_structure_alone(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    labels = read_label_map(files.atlas_labels)
    write_label_map(tmp_path / "one.nii.gz", replace(labels, array=np.where(labels.array == 13, 13, 0)))
    found = run_quietly(request_for(files, tmp_path / "out", atlas_labels=tmp_path / "one.nii.gz"))
    assert np.array_equal(_labels(found).array == 13, _labels(told).array == 13)
    assert [(row.value, row.name) for row in found.result.quality.labels] == [(13, "cerebellum")]


def test_a_segmentation_for_the_atlas(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    labels = read_label_map(files.atlas_labels, files.table)
    write_segmentation(tmp_path / "labels.seg.nrrd", labels)
    found = run_quietly(request_for(files, tmp_path / "out", atlas_labels=tmp_path / "labels.seg.nrrd", table=None))
    assert np.array_equal(_labels(found).array, _labels(told).array)
    segments = read_label_map(found.result.path(SEGMENTATION))
    assert list(segments.table.values()) == list(labels.table.values())


def test_labels_on_another_grid_of_the_same_space(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    """A box around the labelled voxels, as segmentations are often cropped; here also at half the voxel size."""
    labels = read_label_map(files.atlas_labels)
    places = np.argwhere(labels.array)[:, ::-1]
    low, high = (tuple(int(n) for n in ends) for ends in (places.min(0), places.max(0)))
    box = labels.grid.box(low, tuple(b - a + 1 for a, b in zip(low, high, strict=True)))
    half = Grid(tuple(2 * n for n in box.size), tuple(s / 2 for s in box.spacing), box.origin, box.direction)
    write_label_map(tmp_path / "cropped.nii.gz", resample_labels_to(labels, half))
    found = run_quietly(request_for(files, tmp_path / "out", atlas_labels=tmp_path / "cropped.nii.gz"))
    assert "labels-resampled" in found.cautions
    assert np.mean(_labels(found).array != _labels(told).array) < 1e-3


def test_no_overlap_in_space(files: PhantomFiles, tmp_path: Path) -> None:
    target = read_volume(files.target)
    x, y, z = target.grid.origin
    write_volume(tmp_path / "far.nii.gz", target.array, replace(target.grid, origin=(x + 700.0, y - 500.0, z)))
    found = run_quietly(request_for(files, tmp_path / "out", target=tmp_path / "far.nii.gz"))
    assert mean_dice(_labels(found).array, read_label_map(files.target_labels).array) > 0.75


def test_whole_numbers_below_0_stay_whole_numbers(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    """As in CT: air at -1024, and in the outermost slices padding far below it."""
    for name in ("atlas", "target"):
        volume = read_volume(getattr(files, name))
        array = np.rint(volume.array * 2 - 1024).astype(np.int16)
        array[:2] = -3000
        write_volume(tmp_path / f"{name}.nii.gz", array, volume.grid)
    scans = {"atlas": tmp_path / "atlas.nii.gz", "target": tmp_path / "target.nii.gz"}
    found = run_quietly(request_for(files, tmp_path / "out", **scans))
    assert sitk.ReadImage(str(found.result.path(WARPED_ATLAS))).GetPixelID() == sitk.sitkInt16
    assert read_volume(found.result.path(WARPED_ATLAS)).array.min() < -1000
    assert mean_dice(_labels(found).array, read_label_map(files.target_labels).array) > 0.75


def test_a_dicom_series_for_the_target(files: PhantomFiles, tmp_path: Path) -> None:
    target = read_volume(files.target)
    folder = tmp_path / "series"
    folder.mkdir()
    _write_series(folder, Volume(np.rint(target.array).astype(np.int16), target.grid))
    found = run_quietly(request_for(files, tmp_path / "out", target=folder))
    assert _labels(found).grid.same_as(target.grid, 1e-3)
    assert mean_dice(_labels(found).array, read_label_map(files.target_labels).array) > 0.75
    texts = "".join(path.read_text() for path in found.result.folder.iterdir() if path.suffix in (".json", ".csv"))
    headers = b"".join(path.read_bytes() for path in found.result.folder.glob("*.nrrd"))
    assert "Doe" not in texts
    assert b"Doe" not in headers
    assert not any(sitk.ReadImage(str(path)).HasMetaDataKey("0010|0010") for path in found.result.folder.glob("*.nii*"))


@pytest.mark.parametrize("role", ["atlas_mask", "target_mask"])
def test_what_a_mask_leaves_out_has_no_say(told: Told, files: PhantomFiles, tmp_path: Path, role: str) -> None:
    """A bright block where the other scan has none; left out, the labels around it come out as without the block."""
    scan = read_volume(files.atlas if role == "atlas_mask" else files.target)
    middle = np.asarray(scan.grid.shape) // 2
    block = tuple(slice(m - 6, m + 6) for m in middle)
    spoilt, mask = scan.array.copy(), np.ones(scan.grid.shape, np.uint8)
    spoilt[block], mask[block] = 3000.0, 0
    write_volume(tmp_path / "scan.nii.gz", spoilt, scan.grid)
    write_volume(tmp_path / "mask.nii.gz", mask, scan.grid)
    changed = {role.removesuffix("_mask"): tmp_path / "scan.nii.gz"}
    without = run_quietly(request_for(files, tmp_path / "without", **changed))
    masked = run_quietly(request_for(files, tmp_path / "masked", **changed, **{role: tmp_path / "mask.nii.gz"}))
    truth = read_label_map(files.target_labels).array
    scores = [mean_dice(_labels(run).array, truth) for run in (told, without, masked)]
    assert scores[2] > scores[1] + 0.03
    assert scores[2] > scores[0] - 0.1


def test_a_given_start(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    matrix = sitk.ReadTransform(str(told.result.path("affine.tfm")))
    sitk.WriteTransform(matrix, str(tmp_path / "start.tfm"))
    found = run_quietly(request_for(files, tmp_path / "out", start=str(tmp_path / "start.tfm")))
    assert found.result.manifest["start"] == "the given transform"
    moved = read_affine(found.result.path("affine.tfm")) - read_affine(told.result.path("affine.tfm"))
    assert np.abs(moved).max() < 0.1
    truth = read_label_map(files.target_labels).array
    assert mean_dice(_labels(found).array, truth) > mean_dice(_labels(told).array, truth) - 0.02
    shift = np.eye(4)
    shift[:3, 3] = read_volume(files.atlas).grid.centre - read_volume(files.target).grid.centre
    write_affine(tmp_path / "shift.tfm", shift)
    placed = run_quietly(request_for(files, tmp_path / "placed", start="as-placed"))
    assert placed.result.manifest["start"] == "as placed"


@pytest.mark.parametrize("similarity", [s for s in Similarity if s is not Similarity.AUTO])
def test_every_similarity(files: PhantomFiles, tmp_path: Path, similarity: Similarity) -> None:
    found = run_quietly(request_for(files, tmp_path / "out", similarity=similarity))
    assert found.result.manifest["similarity"] == similarity.value
    assert found.result.quality.measure("similarity_after") > found.result.quality.measure("similarity_before")
    assert mean_dice(_labels(found).array, read_label_map(files.target_labels).array) > 0.65


@pytest.mark.parametrize("quality", [Quality.NORMAL, Quality.ACCURATE])
def test_every_quality(told: Told, files: PhantomFiles, tmp_path: Path, quality: Quality) -> None:
    found = run_quietly(request_for(files, tmp_path / "out", quality=quality))
    truth = read_label_map(files.target_labels).array
    assert mean_dice(_labels(found).array, truth) > mean_dice(_labels(told).array, truth) - 0.01


def test_structures_that_the_target_does_not_show_are_named(files: PhantomFiles, tmp_path: Path) -> None:
    target = read_volume(files.target)
    half = target.grid.size[2] // 2
    top = target.grid.box((0, 0, half), (*target.grid.size[:2], target.grid.size[2] - half))
    write_volume(tmp_path / "top.nii.gz", target.array[half:], top)
    found = run_quietly(request_for(files, tmp_path / "out", target=tmp_path / "top.nii.gz"))
    assert "brainstem" in found.cautions.get("labels-lost", "") + found.cautions.get("labels-cut", "")


def _write_series(folder: Path, volume: Volume) -> None:
    image = volume.grid.place(sitk.GetImageFromArray(volume.array))
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    cosines = np.reshape(volume.grid.direction, (3, 3))[:, :2].T.ravel()
    for k in range(volume.grid.size[2]):
        part = image[:, :, k]
        header = {
            "0008|0018": f"1.2.3.{k + 1}",
            "0008|0060": "MR",
            "0010|0010": "Doe^Jane",
            "0020|000d": "1.2.3.1000",
            "0020|000e": "1.2.3",
            "0020|0013": str(k + 1),
            "0020|0032": "\\".join(f"{value:.8g}" for value in volume.grid.to_lps((0, 0, k))),
            "0020|0037": "\\".join(f"{value:.8g}" for value in cosines),
        }
        for key, value in header.items():
            part.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{k:03d}.dcm"))
        writer.Execute(part)
