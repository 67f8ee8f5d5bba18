"""Transform nodes against SimpleITK: the same points, inside the grid, on its rim and far outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.volumes import Grid
from Testing.rig.need import need

need("slicer", "slicer-core")
from JointRegSegLib.scene import transforms  # noqa: E402 (after the check for Slicer's libraries)

pytestmark = pytest.mark.mrml

ROTATION = np.linalg.qr(np.array([[1.0, 0.3, -0.2], [-0.25, 1.0, 0.4], [0.1, -0.35, 1.0]]))[0]
GRIDS = {
    "plain": Grid((24, 22, 20), (2.0, 2.0, 2.0), (-20.0, -25.0, -15.0)),
    "oblique anisotropic": Grid((26, 20, 14), (1.5, 2.0, 4.0), (10.0, -40.0, 55.0), tuple(ROTATION.ravel())),
    "flipped": Grid((20, 22, 24), (2.0, 1.8, 1.6), (30.0, 30.0, -30.0), (-1, 0, 0, 0, -1, 0, 0, 0, 1)),
    "left-handed oblique": Grid(
        (18, 20, 22), (2.5, 1.5, 2.0), (5.0, 6.0, 7.0), tuple((ROTATION[:, [2, 0, 1]] * (1, -1, 1)).ravel())
    ),
}
AFFINE = np.array([[1.02, 0.05, -0.1, 12.0], [-0.03, 0.95, 0.08, -7.0], [0.11, -0.06, 1.06, 20.0], [0, 0, 0, 1.0]])


def a_field(grid: Grid, affine: Any, amplitude: float = 3.0) -> Any:
    """Total displacements (k, j, i, 3) of an affine after a smooth wave that does not vanish at the border."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in grid.size), indexing="ij"), axis=-1).transpose(2, 1, 0, 3)
    points = grid.to_lps(indices)
    wave = points + amplitude * np.sin(points[..., [1, 2, 0]] / 13.0 + (0.3, 1.1, 2.0))
    return (wave @ affine[:3, :3].T + affine[:3, 3] - points).astype(np.float32)


def points_in(grid: Grid, margin_voxels: float, count: int = 400) -> Any:
    random = np.random.default_rng(3)
    span = np.asarray(grid.size) - 1.0
    return grid.to_lps(random.uniform(-margin_voxels, span + margin_voxels, (count, 3)))


def through_node(node: Any, points_lps: Any) -> Any:
    ras = (points_lps * (-1.0, -1.0, 1.0)).tolist()
    mapping = node.GetTransformFromParent()
    return np.array([mapping.TransformPoint(p) for p in ras]) * (-1.0, -1.0, 1.0)


def through_sitk(transform: sitk.Transform, points_lps: Any) -> Any:
    return np.array([transform.TransformPoint(p) for p in points_lps.tolist()])


def through_affine(affine: Any, points: Any) -> Any:
    return points @ affine[:3, :3].T + affine[:3, 3]


def field_transform(vectors: Any, grid: Grid) -> sitk.Transform:
    return sitk.DisplacementFieldTransform(
        grid.place(sitk.GetImageFromArray(np.asarray(vectors, np.float64), isVector=True))
    )


def total(grid: Grid, amplitude: float) -> Any:
    rest, wider = transforms.with_rim(transforms.residual(a_field(grid, AFFINE, amplitude), grid, AFFINE), grid)
    return transforms.composite(rest, wider, AFFINE)


@pytest.fixture(params=GRIDS, ids=lambda name: name.replace(" ", "-"))
def a_grid(request: pytest.FixtureRequest) -> Grid:
    return GRIDS[request.param]


@pytest.fixture
def a_node(a_scene: Any, a_grid: Grid) -> Any:
    return transforms.add_transform(a_scene, "field", total(a_grid, 3.0))


def test_the_node_agrees_with_the_field_inside_the_grid(a_node: Any, a_grid: Grid) -> None:
    points = points_in(a_grid, 0.0)
    expected = through_sitk(field_transform(a_field(a_grid, AFFINE), a_grid), points)
    assert np.abs(through_node(a_node, points) - expected).max() < 1e-3


def test_far_outside_the_node_is_the_affine(a_node: Any, a_grid: Grid) -> None:
    _, wider = transforms.with_rim(transforms.residual(a_field(a_grid, AFFINE), a_grid, AFFINE), a_grid)
    points = points_in(wider, 50.0 / min(wider.spacing), 4000)
    outside = (np.abs(wider.to_index(points) / (np.asarray(wider.size) - 1.0) - 0.5) > 0.5).any(axis=1)
    points = points[outside]
    assert len(points) > 1000
    assert np.abs(through_node(a_node, points) - through_affine(AFFINE, points)).max() < 0.01


def test_slicer_and_simpleitk_agree_everywhere_through_a_file(a_node: Any, a_grid: Grid, tmp_path: Path) -> None:
    import slicer.util

    assert slicer.util.saveNode(a_node, str(tmp_path / "field.h5"))
    composite = sitk.ReadTransform(str(tmp_path / "field.h5"))
    points = points_in(a_grid, 40.0 / min(a_grid.spacing), 3000)
    assert np.abs(through_node(a_node, points) - through_sitk(composite, points)).max() < 0.01


def test_the_rim_does_not_fold(a_grid: Grid) -> None:
    rest, wider = transforms.with_rim(transforms.residual(a_field(a_grid, AFFINE, 5.0), a_grid, AFFINE), a_grid)
    assert wider.size > a_grid.size
    assert not rest[0].any()
    assert not rest[-1].any()
    assert not rest[:, :, 0].any()
    step = [np.gradient(rest, axis=axis) for axis in (2, 1, 0)]  # per voxel along i, j, k
    slopes = np.stack(step, axis=-1) @ np.linalg.inv(wider.matrix[:3, :3])
    assert np.linalg.det(np.eye(3) + slopes).min() > 0.0


def test_no_displacement_is_exactly_the_affine(a_scene: Any, a_grid: Grid) -> None:
    node = transforms.add_transform(a_scene, "affine", total(a_grid, 0.0))
    points = points_in(a_grid, 30.0)
    assert np.abs(through_node(node, points) - through_affine(AFFINE, points)).max() < 1e-4


def test_an_atlas_under_the_node_lands_on_the_target(a_node: Any, a_grid: Grid, a_volume_node: Any) -> None:
    """Slicer's own resampling of a volume under the node equals SimpleITK's through the field file."""
    import slicer

    random = np.random.default_rng(5)
    shape = (40, 42, 44)
    coarse = sitk.GetImageFromArray(random.uniform(0, 100, (8, 8, 8)))
    smooth = sitk.GetArrayFromImage(
        sitk.Resample(coarse, [44, 42, 40], sitk.Transform(), sitk.sitkLinear, (0, 0, 0), (0.15,) * 3)
    ).astype(np.float32)
    centre = through_affine(AFFINE, a_grid.centre[None])[0]
    atlas_grid = Grid((44, 42, 40), (1.5, 1.5, 1.5), tuple(float(c) for c in centre - (33.0, 31.5, 30.0)))
    ras = np.diag((-1.0, -1.0, 1.0, 1.0)) @ atlas_grid.matrix
    atlas = a_volume_node(smooth.reshape(shape), ras, "atlas")
    target = a_volume_node(np.zeros(a_grid.shape, np.float32), np.diag((-1.0, -1.0, 1.0, 1.0)) @ a_grid.matrix)
    atlas.SetAndObserveTransformNodeID(a_node.GetID())
    moved = slicer.vtkSlicerVolumesLogic.ResampleVolumeToReferenceVolume(atlas, target)
    expected = sitk.Resample(
        atlas_grid.place(sitk.GetImageFromArray(smooth)),
        a_grid.empty_image(),
        field_transform(a_field(a_grid, AFFINE), a_grid),
        sitk.sitkLinear,
        0.0,
        sitk.sitkFloat32,
    )
    found, wanted = slicer.util.arrayFromVolume(moved), sitk.GetArrayFromImage(expected)
    inside = sitk.GetArrayFromImage(sitk.BinaryErode(expected > 0, [1, 1, 1])) > 0
    assert inside.mean() > 0.1
    assert np.abs(found - wanted)[inside].max() < 0.05


def test_few_points_are_enough_to_draw_it(a_grid: Grid) -> None:
    fine = a_grid.resized((64, 66, 68))
    rest, wider = transforms.with_rim(transforms.residual(a_field(fine, AFFINE), fine, AFFINE), fine)
    coarse, grid = transforms.coarsened(rest, wider)
    assert max(grid.size) <= 48
    points = points_in(a_grid, 0.0)
    drawn = through_sitk(field_transform(coarse, grid), points)
    assert (
        np.abs(through_affine(AFFINE, drawn) - through_sitk(field_transform(a_field(fine, AFFINE), fine), points)).max()
        < 0.2
    )


def test_the_grid_shows_in_slices_when_asked(a_node: Any) -> None:
    transforms.set_up_grid(a_node, "", 160.0)
    display = a_node.GetDisplayNode()
    assert not display.GetVisibility()
    transforms.show_grid(a_node, True)
    assert (display.GetVisibility(), display.GetVisibility2D(), display.GetVisibility3D()) == (1, 1, 0)
    assert display.GetGridSpacingMm() == 10.0
    assert display.GetVisualizationMode() == display.VIS_MODE_GRID
