"""The picture of a run: planes the right way up, a straight grid where nothing bends, and a file where asked."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib.job import Measure, QualityTable, Result, result
from JointRegSegLib.phantom import make_pair, write_pair
from JointRegSegLib.report.overview import overview
from JointRegSegLib.report.planes import Plane, load_scene
from JointRegSegLib.volumes import (
    Grid,
    resample_labels_to,
    resample_volume_to,
    write_affine,
    write_field,
    write_segmentation,
    write_volume,
)
from Testing.rig.need import need

SIZE = 32
AFFINE = np.array([[0.9, 0.1, 0.0, 4.0], [-0.1, 1.1, 0.0, -3.0], [0.0, 0.05, 1.0, 7.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.fixture
def affine_run(tmp_path: Path) -> tuple[Result, Path, Path]:
    """A result whose field is its affine alone and whose labels are the atlas's as placed."""
    files = write_pair(tmp_path / "input", size=SIZE)
    pair = make_pair(size=SIZE)
    grid = pair.target.grid
    run = Result(tmp_path / "run")
    run.folder.mkdir()
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    points = grid.to_lps(np.stack([i, j, k], axis=-1))
    write_field(run.path(result.FIELD), points @ AFFINE[:3, :3].T + AFFINE[:3, 3] - points, grid)
    write_affine(run.path(result.AFFINE), AFFINE)
    write_segmentation(run.path(result.SEGMENTATION), resample_labels_to(pair.atlas_labels, grid))
    write_volume(run.path(result.WARPED_ATLAS), resample_volume_to(pair.atlas, grid).array, grid)
    jacobian = np.full(grid.shape, np.linalg.det(AFFINE[:3, :3]))
    jacobian[0, 0, 0] = -0.5
    write_volume(run.path(result.JACOBIAN), jacobian.astype(np.float32), grid)
    quality = QualityTable(measures=(Measure("folding", "folding", 0.0, "%"),))
    run.path(result.QUALITY_JSON).write_text(quality.to_json(), encoding="utf-8")
    return run, files.atlas, files.target


def test_an_affine_alone_bends_no_grid_line(affine_run: tuple[Result, Path, Path]) -> None:
    run, atlas, target = affine_run
    scene = load_scene(run, target, atlas)
    k, j, i = np.meshgrid(*(np.arange(n) for n in scene.grid.shape), indexing="ij")
    straight = np.stack([axis * spacing for axis, spacing in zip((i, j, k), scene.grid.spacing, strict=True)])
    np.testing.assert_allclose(scene.positions, straight, atol=1e-3)


def test_slices_have_their_letters_at_their_edges() -> None:
    k, j, i = np.indices((4, 5, 6))
    towards_left, towards_posterior, towards_superior = i, j, k
    axial = Plane("axial", 0, 1, ("R", "L", "A", "P"))
    assert axial.cut(towards_left)[0, -1] > axial.cut(towards_left)[0, 0]
    assert axial.cut(towards_posterior)[-1, 0] > axial.cut(towards_posterior)[0, 0]
    for plane, rightwards in (
        (Plane("coronal", 1, 1, ("R", "L", "S", "I")), towards_left),
        (Plane("sagittal", 2, 1, ("A", "P", "S", "I")), towards_posterior),
    ):
        assert plane.cut(rightwards)[0, -1] > plane.cut(rightwards)[0, 0]
        assert plane.cut(towards_superior)[0, 0] > plane.cut(towards_superior)[-1, 0]


def test_pixels_keep_their_proportions() -> None:
    grid = Grid((4, 5, 6), (1.0, 2.0, 3.0))
    aspects = [Plane("", axis, 0, ("", "", "", "")).aspect(grid) for axis in range(3)]
    assert aspects == [2.0, 3.0, 1.5]


def test_planes_pass_through_the_labels(affine_run: tuple[Result, Path, Path]) -> None:
    run, atlas, target = affine_run
    scene = load_scene(run, target, atlas)
    for plane in scene.planes():
        assert len(np.unique(plane.cut(scene.labels))) > 4


def test_the_picture_is_written(affine_run: tuple[Result, Path, Path], tmp_path: Path) -> None:
    need("matplotlib")
    picture = tmp_path / "overview.png"
    overview(*affine_run, picture)
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width > 1200
    assert height > 700


def test_without_matplotlib_its_name_is_said(
    affine_run: tuple[Result, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs matplotlib: pip install 'jointregseg\[report\]'"):
        overview(*affine_run, tmp_path / "overview.png")
