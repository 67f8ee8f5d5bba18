"""Reading scans and masks: what works, and each way it can fail."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import read_grid, read_mask, read_volume, write_volume
from JointRegSegLib.volumes.images import quiet
from Testing.engine.volume_cases import GRID, check_error, save, scan

FORMATS = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")


@pytest.mark.parametrize("extension", FORMATS)
def test_a_written_scan_comes_back(tmp_path: Path, extension: str) -> None:
    volume = scan()
    write_volume(tmp_path / f"scan{extension}", volume.array, volume.grid)
    found = read_volume(tmp_path / f"scan{extension}")
    assert np.array_equal(found.array, volume.array)
    assert found.grid.same_as(GRID, 1e-5)


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_every_voxel_type_becomes_float32(tmp_path: Path, kind: str, extension: str) -> None:
    low = 0 if kind.startswith("u") else -1024
    array = np.random.default_rng(0).integers(low, 250, GRID.shape).astype(kind)
    found = read_volume(save(tmp_path / f"ct{extension}", array))
    assert found.array.dtype == np.float32
    assert np.array_equal(found.array, array)


def test_integers_are_written_as_they_are(tmp_path: Path) -> None:
    array = np.arange(210, dtype=np.int16).reshape(GRID.shape) - 100
    write_volume(tmp_path / "ct.nrrd", array, GRID)
    assert sitk.ReadImage(str(tmp_path / "ct.nrrd")).GetPixelID() == sitk.sitkInt16


def test_nifti_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    array = np.arange(210, dtype=np.int16).reshape(GRID.shape)
    path = save(tmp_path / "scaled.nii", array)
    data = bytearray(path.read_bytes())
    data[112:120] = struct.pack("<2f", 0.5, -10.0)
    path.write_bytes(data)
    assert np.array_equal(read_volume(path).array, array * 0.5 - 10.0)


def test_warnings_are_back_when_the_last_of_two_threads_has_read() -> None:
    shown = sitk.ProcessObject.GetGlobalWarningDisplay
    assert shown()
    one, other = quiet(), quiet()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert not shown()
    other.__exit__(None, None, None)
    assert shown()


def test_a_folder_has_no_header_and_nobody_complains_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JobError) as caught:
        read_grid(tmp_path)
    assert caught.value.code is Code.FILE_UNREADABLE
    assert capfd.readouterr().err == ""


def test_names_outside_ascii_work(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 頭部"
    folder.mkdir()
    write_volume(folder / "ü.nii.gz", scan().array, GRID)
    assert read_volume(folder / "ü.nii.gz").grid.size == GRID.size


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path, extension: str) -> None:
    array = scan().array
    image = sitk.JoinSeries([GRID.place(sitk.GetImageFromArray(array))])
    sitk.WriteImage(image, str(tmp_path / f"one{extension}"))
    found = read_volume(tmp_path / f"one{extension}")
    assert np.array_equal(found.array, array)
    assert found.grid.same_as(GRID, 1e-5)


@pytest.mark.parametrize(
    ("shape", "vectors", "words"),
    [((3, 5, 6, 7), False, "7 x 6 x 5 x 3"), ((6, 7), False, "7 x 6"), ((1, 6, 7), False, "7 x 6 x 1"),
     ((5, 6, 7, 3), True, "7 x 6 x 5")],
    ids=["4-D", "2-D", "one slice", "colour"],
)  # fmt: skip
@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_what_is_not_3d_is_refused(
    tmp_path: Path, shape: tuple[int, ...], vectors: bool, words: str, extension: str
) -> None:
    path = save(tmp_path / f"x{extension}", np.random.default_rng(0).normal(size=shape), None, vectors)
    with pytest.raises(JobError) as caught:
        read_volume(path)
    check_error(caught.value, Code.NOT_3D, words, path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("extension", FORMATS)
def test_numbers_that_are_not_finite_are_counted(tmp_path: Path, extension: str, kind: type, bad: float) -> None:
    array = scan().array.astype(kind)
    array[1, 2, 3] = array[4, 5, 6] = bad
    with pytest.raises(JobError) as caught:
        read_volume(save(tmp_path / f"bad{extension}", array))
    check_error(caught.value, Code.NOT_FINITE, "2 values", f"of {array.size}")


def test_a_constant_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_volume(save(tmp_path / "flat.nii.gz", np.full(GRID.shape, -1024, np.int16)))
    check_error(caught.value, Code.IMAGE_EMPTY, "-1024")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_volume(tmp_path / "nowhere.nii.gz")
    check_error(caught.value, Code.FILE_MISSING, "nowhere.nii.gz")


@pytest.mark.parametrize("extension", FORMATS[:4])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.97])
def test_a_file_cut_short_is_refused(tmp_path: Path, extension: str, kept: float) -> None:
    path = save(tmp_path / f"cut{extension}", scan().array)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(JobError) as caught:
        read_volume(path)
    check_error(caught.value, Code.FILE_UNREADABLE, path)


def test_gzip_in_several_members_is_whole(tmp_path: Path) -> None:
    data = save(tmp_path / "plain.nii", scan().array).read_bytes()
    (tmp_path / "members.nii.gz").write_bytes(gzip.compress(data[:500]) + gzip.compress(data[500:]))
    assert np.array_equal(read_volume(tmp_path / "members.nii.gz").array, scan().array)


def test_something_else_than_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.nrrd").write_text("hello")
    with pytest.raises(JobError) as caught:
        read_volume(tmp_path / "notes.nrrd")
    check_error(caught.value, Code.FILE_UNREADABLE, "notes.nrrd")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_volume(save(tmp_path / "k.nrrd", scan().array.astype(np.complex64)))
    check_error(caught.value, Code.FILE_UNREADABLE, "complex")


def test_sheared_axes_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "sheared.nii", scan().array)
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<2h", 0, 2)
    data[280:296] = struct.pack("<4f", 1.0, 0.4, 0.0, 0.0)
    path.write_bytes(data)
    with pytest.raises(JobError) as caught:
        read_volume(path)
    check_error(caught.value, Code.FILE_UNREADABLE, "right angles")


def test_a_mask_is_where_the_image_is_not_zero(tmp_path: Path) -> None:
    array = np.zeros(GRID.shape, np.int16)
    array[1, 2, 3], array[2, 3, 4] = 255, -1
    mask = read_mask(save(tmp_path / "mask.nii.gz", array))
    assert mask.array.dtype == bool
    assert np.array_equal(mask.array, array != 0)
    assert mask.grid.same_as(GRID, 1e-5)


def test_a_mask_of_several_segment_layers_is_their_union(tmp_path: Path) -> None:
    array = np.zeros((*GRID.shape, 2), np.uint8)
    array[1, 2, 3], array[2, 3, 4] = (1, 0), (1, 1)
    mask = read_mask(save(tmp_path / "mask.seg.nrrd", array, vectors=True, Segment0_ID="a", Segment1_ID="b"))
    assert np.argwhere(mask.array).tolist() == [[1, 2, 3], [2, 3, 4]]


def test_an_empty_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_mask(save(tmp_path / "mask.nrrd", np.zeros(GRID.shape, np.uint8)))
    check_error(caught.value, Code.MASK_EMPTY, "mask.nrrd")
