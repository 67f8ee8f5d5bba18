"""A folder of DICOM slices, written by SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import Grid, read_volume
from Testing.engine.volume_cases import OBLIQUE, check_error

GRID = Grid((16, 14, 12), (0.8, 0.9, 2.5), (10.0, -20.0, 30.0), OBLIQUE)
ARRAY = np.random.default_rng(0).integers(-1000, 1500, GRID.shape).astype(np.int16)


def test_a_series_comes_back_in_its_place(tmp_path: Path) -> None:
    found = read_volume(_series(tmp_path))
    assert np.array_equal(found.array, ARRAY)
    assert found.grid.same_as(GRID, 1e-4)


def test_two_series_are_counted_and_nobody_is_named(tmp_path: Path) -> None:
    _series(tmp_path)
    with pytest.raises(JobError) as caught:
        read_volume(_series(tmp_path, uid="1.2.4"))
    check_error(caught.value, Code.FILE_UNREADABLE, "2 DICOM series")
    assert "Doe" not in str(caught.value)


def test_a_folder_without_dicom_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_volume(tmp_path)
    check_error(caught.value, Code.FILE_UNREADABLE, "no DICOM series")


@pytest.mark.parametrize("missing", [1, 5, 10])
def test_a_missing_slice_is_noticed(tmp_path: Path, missing: int) -> None:
    folder = _series(tmp_path)
    (folder / f"1.2.3_{missing}.dcm").unlink()
    with pytest.raises(JobError) as caught:
        read_volume(folder)
    check_error(caught.value, Code.FILE_UNREADABLE, "11 slices", "regular grid")
    assert "Doe" not in str(caught.value)


def test_a_tilted_gantry_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_volume(_series(tmp_path, tilt=0.3))
    check_error(caught.value, Code.FILE_UNREADABLE, "regular grid")


def test_one_slice_file_is_no_volume(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_volume(_series(tmp_path) / "1.2.3_4.dcm")
    check_error(caught.value, Code.NOT_3D, "16 x 14 x 1")
    assert "folder" in caught.value.advice


def _series(folder: Path, uid: str = "1.2.3", tilt: float = 0.0) -> Path:
    image = GRID.place(sitk.GetImageFromArray(ARRAY))
    cosines = np.reshape(GRID.direction, (3, 3))[:, :2].T.ravel()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(GRID.size[2]):
        part = image[:, :, k]
        place = GRID.to_lps((0, 0, k)) + np.array([0.0, tilt * k, 0.0])
        header = {
            "0008|0018": f"{uid}.{k + 1}",
            "0008|0060": "CT",
            "0010|0010": "Doe^Jane",
            "0020|000d": f"{uid}.100",
            "0020|000e": uid,
            "0020|0013": str(k + 1),
            "0020|0032": "\\".join(f"{value:.8g}" for value in place),
            "0020|0037": "\\".join(f"{value:.8g}" for value in cosines),
        }
        for key, value in header.items():
            part.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{uid}_{k}.dcm"))
        writer.Execute(part)
    return folder
