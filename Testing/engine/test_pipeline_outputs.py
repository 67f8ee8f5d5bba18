"""A finished run: its files are whole, lie where they should, agree with each other and with SimpleITK."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from JointRegSegLib.job import Kind
from JointRegSegLib.job.result import (
    AFFINE,
    FIELD,
    FIELD_INVERSE,
    FILES,
    JACOBIAN,
    LABELS,
    MANIFEST,
    QUALITY_CSV,
    QUALITY_JSON,
    SEGMENTATION,
    WARPED_ATLAS,
)
from JointRegSegLib.phantom import PhantomFiles, make_pair
from JointRegSegLib.volumes import Grid, find_foreground, read_affine, read_label_map, read_volume
from Testing.engine.pipeline_cases import Told, mean_dice, request_for, run_quietly

STEPS = ["prepare", "align", "register", "fuse", "check", "write"]


def _image(told: Told, name: str) -> sitk.Image:
    return sitk.ReadImage(str(told.result.path(name)))


def _array(told: Told, name: str) -> NDArray[np.generic]:
    return sitk.GetArrayFromImage(_image(told, name))


def _transform(told: Told, name: str) -> sitk.DisplacementFieldTransform:
    return sitk.DisplacementFieldTransform(sitk.Cast(_image(told, name), sitk.sitkVectorFloat64))


def _resampled(path: Path, grid: Grid, transform: sitk.Transform, how: int) -> NDArray[np.generic]:
    return sitk.GetArrayFromImage(sitk.Resample(sitk.ReadImage(str(path)), grid.empty_image(), transform, how))


@pytest.fixture(scope="module")
def body(files: PhantomFiles) -> NDArray[np.bool_]:
    return find_foreground(read_volume(files.target)).mask


def test_the_folder_holds_the_files_and_nothing_else(told: Told) -> None:
    assert sorted(path.name for path in told.result.folder.iterdir()) == sorted(FILES)
    assert [path.name for path in told.result.folder.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("name", [LABELS, SEGMENTATION, WARPED_ATLAS, JACOBIAN, FIELD])
def test_results_lie_on_the_targets_own_grid(told: Told, files: PhantomFiles, name: str) -> None:
    assert Grid.of(_image(told, name)).same_as(read_volume(files.target).grid, 1e-5)


def test_the_inverse_lies_on_the_atlass_own_grid(told: Told, files: PhantomFiles) -> None:
    assert Grid.of(_image(told, FIELD_INVERSE)).same_as(read_volume(files.atlas).grid, 1e-5)


def test_the_labels_are_good(told: Told, files: PhantomFiles) -> None:
    truth, found = read_label_map(files.target_labels), read_label_map(told.result.path(LABELS))
    placed = _resampled(files.atlas_labels, truth.grid, sitk.Transform(), sitk.sitkNearestNeighbor)
    score = mean_dice(found.array, truth.array)
    assert score > 0.75
    assert score > mean_dice(placed, truth.array) + 0.3
    assert set(found.table) == set(truth.table)


def test_the_segmentation_has_the_atlass_names_colors_and_codes(told: Told, files: PhantomFiles) -> None:
    segments = read_label_map(told.result.path(SEGMENTATION))
    assert list(segments.table.values()) == list(read_label_map(files.atlas_labels, files.table).table.values())
    assert np.array_equal(segments.array, read_label_map(told.result.path(LABELS)).array)


def test_simpleitk_warps_the_atlas_alike(told: Told, files: PhantomFiles) -> None:
    atlas, target = read_volume(files.atlas), read_volume(files.target)
    expected = _resampled(files.atlas, target.grid, _transform(told, FIELD), sitk.sitkLinear)
    points = target.grid.to_lps(np.argwhere(np.ones(target.grid.shape))[:, ::-1])
    places = atlas.grid.to_index(points + _array(told, FIELD).reshape(-1, 3)).reshape(*target.grid.shape, 3)
    inside = ((places > 0) & (places < np.asarray(atlas.grid.size) - 1)).all(-1)
    assert inside.mean() > 0.5
    assert np.abs(_array(told, WARPED_ATLAS) - expected)[inside].max() < 1e-3 * np.ptp(expected)


def test_simpleitk_carries_the_labels_over_alike(told: Told, files: PhantomFiles) -> None:
    grid = read_volume(files.target).grid
    expected = _resampled(files.atlas_labels, grid, _transform(told, FIELD), sitk.sitkNearestNeighbor)
    assert np.mean(_array(told, LABELS) != expected) < 1e-4


def test_the_affine_is_the_larger_part_of_the_field(told: Told, files: PhantomFiles) -> None:
    matrix = read_affine(told.result.path(AFFINE))
    transform = sitk.ReadTransform(str(told.result.path(AFFINE)))
    assert transform.TransformPoint((10.0, 20.0, 30.0)) == pytest.approx(matrix[:3] @ (10.0, 20.0, 30.0, 1.0))
    truth = read_label_map(files.target_labels)
    points = truth.grid.to_lps(np.argwhere(truth.array > 0)[:, ::-1])
    residual = points + _array(told, FIELD)[truth.array > 0] - points @ matrix[:3, :3].T - matrix[:3, 3]
    assert (
        np.linalg.norm(residual, axis=1).mean()
        < 6.0
        < np.linalg.norm(points.mean(0) - matrix[:3] @ [*points.mean(0), 1])
    )
    labels = sitk.ReadImage(str(files.atlas_labels))
    alone = sitk.Resample(labels, truth.grid.empty_image(), transform, sitk.sitkNearestNeighbor)
    scores = [mean_dice(array, truth.array) for array in (sitk.GetArrayFromImage(alone), _array(told, LABELS))]
    assert 0.5 < scores[0] < scores[1] - 0.1


def test_field_and_inverse_lead_home(told: Told, files: PhantomFiles, body: NDArray[np.bool_]) -> None:
    """With SimpleITK's reading of both files, inside the target's foreground."""
    grid = read_volume(files.target).grid
    there = sitk.TransformToDisplacementField(
        sitk.CompositeTransform([_transform(told, FIELD_INVERSE), _transform(told, FIELD)]),
        sitk.sitkVectorFloat64,
        grid.size,
        grid.origin,
        grid.spacing,
        grid.direction,
    )
    rest = np.linalg.norm(sitk.GetArrayFromImage(there), axis=-1)
    atlas = read_volume(files.atlas).grid
    index = np.argwhere(body)
    ends = grid.to_lps(index[:, ::-1]) + _array(told, FIELD)[body]
    places = atlas.to_index(ends)
    known = ((places >= 0) & (places <= np.asarray(atlas.size) - 1)).all(1)
    errors = rest[body][known]
    assert known.mean() > 0.9
    assert errors.mean() <= 0.1
    assert np.percentile(errors, 99.9) <= 1.0
    assert told.result.quality.measure("inverse_error_mean") == pytest.approx(errors.mean(), abs=0.002)
    assert told.result.quality.measure("inverse_error_p999") == pytest.approx(np.percentile(errors, 99.9), rel=0.02)


def test_the_field_is_near_the_truth(told: Told, files: PhantomFiles) -> None:
    grid, labelled = read_volume(files.target).grid, read_label_map(files.target_labels).array > 0
    points = grid.to_lps(np.argwhere(labelled)[:, ::-1])
    errors = np.linalg.norm(points + _array(told, FIELD)[labelled] - make_pair(size=40).truth(points), axis=1)
    assert np.median(errors) < 0.5 * min(grid.spacing)


def test_the_jacobian_is_the_fields_determinant(told: Told, body: NDArray[np.bool_]) -> None:
    """SimpleITK takes central differences too, but differently at the border, and knows no oblique axes."""
    field = _image(told, FIELD)
    straight = sitk.GetImageFromArray(_array(told, FIELD) @ np.reshape(field.GetDirection(), (3, 3)), isVector=True)
    straight.SetSpacing(field.GetSpacing())
    expected = sitk.GetArrayFromImage(sitk.DisplacementFieldJacobianDeterminant(straight))
    found = _array(told, JACOBIAN)
    inner = (slice(1, -1),) * 3
    assert found[inner] == pytest.approx(expected[inner], abs=1e-3)
    quality = told.result.quality
    assert quality.measure("jacobian_min") == pytest.approx(found[body].min())
    assert quality.measure("jacobian_max") == pytest.approx(found[body].max())
    assert quality.measure("folding_percent") == pytest.approx(100 * np.mean(found[body] <= 0))
    assert quality.measure("sdlogj") == pytest.approx(np.log(np.maximum(found[body], 1e-3)).std(), rel=1e-4)


def test_the_quality_table_is_whole(told: Told, files: PhantomFiles) -> None:
    quality = told.result.quality
    assert [step.step for step in quality.steps] == STEPS
    assert all(step.seconds > 0 and step.cpu_seconds >= 0 and step.peak_mb > 50 for step in quality.steps)
    peaks = [step.peak_mb for step in quality.steps]
    assert peaks == sorted(peaks)
    assert quality.measure("similarity_after") > quality.measure("similarity_before")
    labels = read_label_map(told.result.path(LABELS))
    for row in quality.labels:
        voxels = int(np.sum(labels.array == row.value))
        assert (row.voxels, row.volume_ml) == (voxels, pytest.approx(voxels * labels.grid.voxel_ml))
    assert [row.name for row in quality.labels] == [
        label.name for label in read_label_map(files.atlas_labels, files.table).table.values()
    ]
    with told.result.path(QUALITY_CSV).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row.values()) for row in rows] == quality.rows()


def test_the_manifest_tells_how_it_came_about(told: Told) -> None:
    manifest = told.result.manifest
    expected = {
        "version",
        "method",
        "quality",
        "similarity",
        "seed",
        "device",
        "finished",
        "torch",
        "numpy",
        "SimpleITK",
    }
    assert expected <= set(manifest)
    assert (manifest["quality"], manifest["similarity"], manifest["similarity_asked"]) == ("fast", "lncc", "auto")
    assert (manifest["seed"], manifest["device"], manifest["threads"]) == (0, "cpu", 1)
    assert manifest["atlases"] == ["atlas 1"]
    assert all(manifest.values() or key == "seed" for key in manifest)


def test_the_tables_name_no_place_and_no_file(told: Told, files: PhantomFiles) -> None:
    text = "".join(told.result.path(name).read_text(encoding="utf-8") for name in (MANIFEST, QUALITY_JSON, QUALITY_CSV))
    places = {str(path) for path in vars(files).values()} | {str(files.atlas.parent), str(told.result.folder)}
    names = {path.name for path in vars(files).values()}
    assert [word for word in places | names if word in text] == []


def test_progress_rises_from_0_to_1_through_all_steps(told: Told) -> None:
    events = [event for event in told.events if event.kind is Kind.PROGRESS]
    fractions = [event.fraction for event in events if event.fraction is not None]
    assert len(fractions) == len(events)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert fractions == sorted(fractions)
    assert list(dict.fromkeys(event.stage for event in events)) == STEPS
    assert max(after - before for before, after in pairwise(fractions)) < 0.2


def test_a_second_run_with_the_same_seed_gives_the_same_bits(
    told: Told, files: PhantomFiles, tmp_path_factory: pytest.TempPathFactory
) -> None:
    again = run_quietly(request_for(files, tmp_path_factory.mktemp("again") / "out"))
    times = {QUALITY_JSON, QUALITY_CSV, MANIFEST}
    for name in sorted(set(FILES) - times):
        assert again.result.path(name).read_bytes() == told.result.path(name).read_bytes(), name
    assert again.result.quality.measures == told.result.quality.measures
