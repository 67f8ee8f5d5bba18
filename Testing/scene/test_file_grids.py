"""Where scans on disk lie, told before a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Atlas, Code, JobError
from JointRegSegLib.volumes import Grid, read_grid, read_volume
from Testing.rig.need import need
from Testing.scene.results import FinishedRun

need("slicer", "slicer-core")
from JointRegSegLib.scene import Grids, load_result  # noqa: E402

pytestmark = pytest.mark.mrml

COSINES = np.linalg.qr(np.array([[1.0, 0.2, -0.1], [-0.15, 1.0, 0.3], [0.1, -0.25, 1.0]]))[0]


def series(axes: tuple[int, ...]) -> sitk.Image:
    """Voxels along i, j, k and further axes; the first three lie askew."""
    direction = np.eye(len(axes))
    direction[:3, :3] = COSINES * np.sign(np.linalg.det(COSINES))
    image = sitk.Image(axes, sitk.sitkInt16)
    image[(1,) * 3 + (0,) * (len(axes) - 3)] = 7
    image.SetSpacing([2.0, 1.5, 3.0, 1.0][: len(axes)])
    image.SetOrigin([5.0, -7.0, 11.0, 0.0][: len(axes)])
    image.SetDirection(direction.ravel())
    return image


@pytest.mark.parametrize("name", ["scan.nrrd", "scan.mha"])
def test_a_trailing_axis_of_one_voxel_is_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    sitk.WriteImage(series((6, 5, 4, 1)), str(path))
    grid = read_grid(path)
    assert grid.size == (6, 5, 4)
    assert grid.same_as(Grid.of(series((6, 5, 4))))
    assert grid.same_as(read_volume(path).grid)


@pytest.mark.parametrize("axes", [(6, 5), (6, 5, 4, 2)])
def test_planes_and_time_series_are_refused(tmp_path: Path, axes: tuple[int, ...]) -> None:
    path = tmp_path / "scan.mha"
    sitk.WriteImage(sitk.Image(axes, sitk.sitkInt16), str(path))
    with pytest.raises(JobError) as caught:
        read_grid(path)
    assert caught.value.code is Code.NOT_3D


def test_a_folder_as_atlas_is_not_compared(a_scene: object, the_run: FinishedRun, tmp_path: Path) -> None:
    request = replace(the_run.request, atlases=(Atlas(tmp_path, the_run.request.atlases[0].labels),))
    grids = Grids.of(request)
    assert grids.atlases == (None,)
    assert load_result(a_scene, the_run.result, grids=grids)
