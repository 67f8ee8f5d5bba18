"""What Slicer's own views draw of a loaded result: coarse facts about the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.volumes import read_volume
from Testing.rig.need import lacking, need
from Testing.scene.results import TABLE, TARGET_GRID, finished_run

need("slicer", "slicer-core")
need("PIL", "pillow (comes with matplotlib)")
import vtk  # noqa: E402

from JointRegSegLib.scene import load_result  # noqa: E402

FILL = 0.35

pytestmark = [pytest.mark.mrml, pytest.mark.render]


@pytest.fixture(scope="module")
def offscreen() -> None:
    """Skips where this machine cannot draw without a display."""
    patch = pytest.MonkeyPatch()
    patch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    supported = window.SupportsOpenGL()
    window.Finalize()
    if not supported:
        lacking("VTK cannot draw off screen", "libegl1, libgl1, libegl-mesa0, libgl1-mesa-dri")


@pytest.fixture
def drawn(offscreen: None, a_rig: Any, a_volume_node: Any, tmp_path: Path) -> Any:
    """The views of a loaded result without and with the deformed grid."""
    from Testing.rig.sheet import draw_run

    run = finished_run(tmp_path)
    matrix = np.diag((-1.0, -1.0, 1.0, 1.0)) @ TARGET_GRID.matrix
    target = a_volume_node(read_volume(run.request.target).array, matrix, "target")
    nodes = load_result(a_rig.scene, run.result, target_id=target.GetID())
    return [draw_run(a_rig, nodes, target, grid=grid, size=(260, 220)) for grid in (False, True)]


def share_like(picture: Any, color: tuple[int, int, int]) -> float:
    """Share of pixels whose hue is about a label's, however bright."""
    unit = np.asarray(color) / np.linalg.norm(color)
    pixels = picture.astype(float)
    bright = np.linalg.norm(pixels, axis=-1)
    return float(((pixels @ unit > 0.97 * bright) & (bright > 60)).mean())


def filled(picture: Any, color: tuple[int, int, int]) -> Any:
    """The pixels of a segment's fill: FILL * color + (1 - FILL) * gray, whatever the gray."""
    wanted = FILL * np.diff(np.asarray(color, float))
    return (np.abs(np.diff(picture.astype(float), axis=-1) - wanted) < 5).all(axis=-1)


def test_segments_and_grid_are_drawn(drawn: Any, tmp_path: Path) -> None:
    from PIL import Image

    from Testing.rig.sheet import VIEWS, sheet

    plain, gridded = drawn
    coronal, surfaces = plain[1], plain[3]
    for label in TABLE.values():
        shown = filled(coronal, label.color)
        assert shown.mean() > 0.01, label.name
        behind = (coronal[shown].astype(float) - FILL * np.asarray(label.color)) / (1 - FILL)
        assert behind.max() > 100, label.name  # the scan shines through
        assert share_like(surfaces, label.color) > 0.01, label.name
    for before, after in zip(plain[:3], gridded[:3], strict=True):
        changed = np.abs(before.astype(int) - after).max(axis=-1) > 40
        assert 0.03 < changed.mean() < 0.6
    assert np.abs(plain[3].astype(int) - gridded[3]).mean() < 1.0  # the grid stays out of 3-D
    sheet(gridded, None, tmp_path / "out" / "sheet.png", VIEWS)
    with Image.open(tmp_path / "out" / "sheet.png") as picture:
        assert picture.width > 520
        assert picture.height > 440
