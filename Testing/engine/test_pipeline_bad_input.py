"""Every input that cannot be used gets its own code, a sentence with what is wrong, advice; and leaves nothing."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from JointRegSegLib.job import Code, Device
from JointRegSegLib.phantom import PhantomFiles, write_pair
from JointRegSegLib.pipeline import write
from JointRegSegLib.volumes import Grid, read_label_map, read_volume
from Testing.engine.pipeline_cases import refused, request_for, run_quietly
from Testing.engine.volume_cases import save

RUN = importlib.import_module("JointRegSegLib.pipeline.run")  # the package has a function of that name
Make = Callable[[PhantomFiles, Path], Path]


def _like(path: Path, change: Callable[[np.ndarray], np.ndarray], into: Path) -> Path:
    """The image with its voxels changed, on its own grid."""
    volume = read_volume(path)
    return save(into, change(volume.array), volume.grid)


def _missing(files: PhantomFiles, folder: Path) -> Path:
    return folder / "nowhere.nii.gz"


def _text(files: PhantomFiles, folder: Path) -> Path:
    (folder / "scan.nii.gz").write_text("no image")
    return folder / "scan.nii.gz"


def _cut_short(files: PhantomFiles, folder: Path) -> Path:
    (folder / "scan.nii.gz").write_bytes(files.target.read_bytes()[:-2000])
    return folder / "scan.nii.gz"


def _flat(files: PhantomFiles, folder: Path) -> Path:
    return save(folder / "scan.nrrd", np.zeros((30, 40), np.float32), None)


def _series(files: PhantomFiles, folder: Path) -> Path:
    image = sitk.JoinSeries([sitk.ReadImage(str(files.target))] * 2)
    sitk.WriteImage(image, str(folder / "scan.nii.gz"))
    return folder / "scan.nii.gz"


def _no_dicom(files: PhantomFiles, folder: Path) -> Path:
    (folder / "dicom").mkdir()
    return folder / "dicom"


def _spoilt(value: float) -> Make:
    def spoil(array: np.ndarray) -> np.ndarray:
        array[3, 4, 5] = value
        return array

    return lambda files, folder: _like(files.target, spoil, folder / "scan.nrrd")


def _constant(files: PhantomFiles, folder: Path) -> Path:
    return _like(files.target, lambda array: array * 0 + 7, folder / "scan.mha")


BAD_SCANS = {
    "missing": (_missing, Code.FILE_MISSING, "nowhere.nii.gz"),
    "text": (_text, Code.FILE_UNREADABLE, "scan.nii.gz"),
    "cut short": (_cut_short, Code.FILE_UNREADABLE, "scan.nii.gz"),
    "no DICOM": (_no_dicom, Code.FILE_UNREADABLE, "no DICOM series"),
    "2-D": (_flat, Code.NOT_3D, "40 x 30"),
    "4-D": (_series, Code.NOT_3D, "x 2 voxels: 4 axes"),
    "NaN": (_spoilt(np.nan), Code.NOT_FINITE, "1 values"),
    "infinite": (_spoilt(np.inf), Code.NOT_FINITE, "1 values"),
    "constant": (_constant, Code.IMAGE_EMPTY, "are 7"),
}


@pytest.mark.parametrize("role", ["target", "atlas"])
@pytest.mark.parametrize("case", BAD_SCANS)
def test_a_scan_that_cannot_be_used(files: PhantomFiles, tmp_path: Path, case: str, role: str) -> None:
    make, code, words = BAD_SCANS[case]
    refused(request_for(files, tmp_path / "deep" / "out", **{role: make(files, tmp_path)}), code, words)


def _labels(change: Callable[[np.ndarray], np.ndarray]) -> Make:
    def make(files: PhantomFiles, folder: Path) -> Path:
        labels = read_label_map(files.atlas_labels)
        return save(folder / "labels.nii.gz", change(labels.array), labels.grid)

    return make


def _elsewhere(files: PhantomFiles, folder: Path) -> Path:
    labels = read_label_map(files.atlas_labels)
    grid = Grid(labels.grid.size, labels.grid.spacing, (500.0, 0.0, 0.0), labels.grid.direction)
    return save(folder / "labels.nii.gz", labels.array, grid)


def _overlapping(files: PhantomFiles, folder: Path) -> Path:
    layers = np.zeros((*read_volume(files.atlas).grid.shape, 2), np.uint8)
    layers[20:30, 20:30, 10:20, 0] = 1
    layers[25:35, 20:30, 10:20, 1] = 1
    header = {
        f"Segment{number}_{key}": value
        for number, name in enumerate(("liver", "tumor"))
        for key, value in {"ID": f"s{number}", "Name": name, "LabelValue": "1", "Layer": str(number)}.items()
    }
    return save(folder / "labels.seg.nrrd", layers, read_volume(files.atlas).grid, vectors=True, **header)


BAD_LABELS = {
    "missing": (_missing, Code.FILE_MISSING, "nowhere.nii.gz"),
    "empty": (_labels(lambda a: a * 0), Code.LABELS_EMPTY, "all are 0"),
    "negative": (_labels(lambda a: a.astype(np.int16) - 5), Code.LABELS_NEGATIVE, "-5"),
    "fractions": (_labels(lambda a: a * np.float32(0.25)), Code.LABELS_NOT_INTEGER, "which is no label value"),
    "too large": (_labels(lambda a: a.astype(np.int32) * 60000), Code.LABELS_TOO_LARGE, 14 * 60000),
    "NaN": (_labels(lambda a: np.where(a == 3, np.float32(np.nan), a)), Code.NOT_FINITE, "values"),
    "elsewhere": (_elsewhere, Code.LABELS_ELSEWHERE, "Only 0%"),
    "overlapping": (_overlapping, Code.SEGMENTS_OVERLAP, "“liver” and “tumor”"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_that_cannot_be_used(files: PhantomFiles, tmp_path: Path, case: str) -> None:
    make, code, words = BAD_LABELS[case]
    refused(request_for(files, tmp_path / "out", atlas_labels=make(files, tmp_path)), code, words)


def test_a_label_table_that_cannot_be_used(files: PhantomFiles, tmp_path: Path) -> None:
    table = tmp_path / "names.csv"
    table.write_text("value,name\n1,cortex\nmany,white matter\n", encoding="utf-8")
    refused(request_for(files, tmp_path / "out", table=table), Code.LABEL_TABLE_INVALID, "Line 3", "many")


@pytest.mark.parametrize("role", ["target_mask", "atlas_mask"])
def test_masks_that_cannot_be_used(files: PhantomFiles, tmp_path: Path, role: str) -> None:
    scan = read_volume(files.target)
    empty = save(tmp_path / "empty.nii.gz", np.zeros(scan.grid.shape, np.uint8), scan.grid)
    far = Grid(scan.grid.size, scan.grid.spacing, (900.0, 0.0, 0.0))
    away = save(tmp_path / "away.nii.gz", np.ones(scan.grid.shape, np.uint8), far)
    refused(request_for(files, tmp_path / "out", **{role: empty}), Code.MASK_EMPTY, empty)
    refused(request_for(files, tmp_path / "out", **{role: away}), Code.MASK_ELSEWHERE, away)
    refused(request_for(files, tmp_path / "out", **{role: tmp_path / "none.nii"}), Code.FILE_MISSING, "none.nii")


def test_a_mask_that_leaves_nothing_to_see(files: PhantomFiles, tmp_path: Path) -> None:
    """The mask marks what to leave out instead of what to compare: the padding is all that remains."""
    padded = _like(
        files.target, lambda a: np.where(np.arange(a.shape[0])[:, None, None] < 3, 0, a), tmp_path / "t.nrrd"
    )
    scan = read_volume(padded)
    mask = save(tmp_path / "mask.nii.gz", (np.indices(scan.grid.shape)[0] < 3).astype(np.uint8), scan.grid)
    refused(request_for(files, tmp_path / "out", target=padded, target_mask=mask), Code.IMAGE_EMPTY, mask, "are 0")


def test_starts_that_cannot_be_used(files: PhantomFiles, tmp_path: Path) -> None:
    singular, curved = tmp_path / "flat.tfm", tmp_path / "curved.tfm"
    sitk.WriteTransform(sitk.BSplineTransform(3), str(curved))
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1, 0, 0, 0, 1, 0, 0, 0, 1e-5))
    sitk.WriteTransform(affine, str(singular))
    for start, code, words in (
        (tmp_path / "none.tfm", Code.FILE_MISSING, "none.tfm"),
        (files.table, Code.FILE_UNREADABLE, files.table),
        (curved, Code.START_INVALID, "not linear"),
        (singular, Code.START_INVALID, "not invertible"),
    ):
        refused(request_for(files, tmp_path / "out", start=str(start)), code, words)


def test_an_atlas_that_ends_up_beside_the_target(tmp_path: Path) -> None:
    """The scans stay where a start transform 200 mm off puts them: no structure lies in the target."""
    files = write_pair(tmp_path, size=24)
    far = sitk.TranslationTransform(3, (200.0, 0.0, 0.0))
    sitk.WriteTransform(far, str(tmp_path / "far.tfm"))
    request = request_for(files, tmp_path / "out", start=str(tmp_path / "far.tfm"))
    refused(request, Code.LABELS_NOT_FOUND, "14 structures")


def test_an_output_that_exists_is_kept(files: PhantomFiles, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    request = request_for(files, tmp_path / "out", overwrite=True)
    refused(request, Code.OUTPUT_EXISTS, tmp_path / "out")
    (tmp_path / "file").touch()
    refused(request_for(files, tmp_path / "file"), Code.OUTPUT_EXISTS, "is a file")
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_an_earlier_result_is_replaced_only_when_asked_and_only_by_a_whole_one(
    files: PhantomFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_for(files, tmp_path / "out")
    run_quietly(request)
    refused(request, Code.OUTPUT_EXISTS, tmp_path / "out")
    bad = request_for(files, tmp_path / "out", overwrite=True, target=tmp_path / "none.nii")
    refused(bad, Code.FILE_MISSING, "none.nii")
    again = run_quietly(request_for(files, tmp_path / "out", overwrite=True, seed=3))
    assert again.result.manifest["seed"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_output_folder_that_cannot_be_made(files: PhantomFiles, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(request_for(files, tmp_path / "file" / "out"), Code.OUTPUT_UNWRITABLE, tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("module", "writer"),
    [(write, "write_label_map"), (write, "write_field"), (write, "write_affine"), (RUN, "write_tables")],
    ids=["first file", "large file", "affine", "tables"],
)
def test_a_disk_that_fills_up(
    files: PhantomFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, writer: str
) -> None:
    """At the first file, at a large one, and at the last ones."""

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, writer, full)
    refused(request_for(files, tmp_path / "deep" / "out"), Code.DISK_FULL, tmp_path)


def test_cuda_where_there_is_none(files: PhantomFiles, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA GPU")
    refused(request_for(files, tmp_path / "out", device=Device.CUDA), Code.DEVICE_MISSING, "cuda", torch.__version__)


def test_too_little_memory(files: PhantomFiles, tmp_path: Path) -> None:
    refused(request_for(files, tmp_path / "out", memory_gb=0.2), Code.OUT_OF_MEMORY, "0.20 GB may be used")
