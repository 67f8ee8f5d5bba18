"""Voxels of tensors and LPS millimetres: against the grid's own arithmetic and against SimpleITK."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from JointRegSegLib.fields import (
    affine_positions,
    apply_matrix,
    displacement_lps,
    exponential,
    from_lps,
    identity,
    inverse,
    lattice_places,
    residual_of,
    sample,
    sample_lattice,
    to_lps,
    voxel_matrix,
)
from JointRegSegLib.volumes import Grid, to_sitk, write_field
from Testing.engine.registration_cases import turn
from Testing.engine.tensor_cases import GEOMETRIES, smooth_field, texture

NAMES = list(GEOMETRIES)
DOUBLE = torch.zeros(1, dtype=torch.float64)


def _affine() -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (9, -6, 12), degrees=True).as_matrix() @ np.diag([1.05, 0.95, 1.02])
    matrix[:3, 3] = (6.0, -9.0, 4.0)
    return matrix


def _indices(grid: Grid) -> NDArray[np.float64]:
    """Every voxel's (i, j, k), shape (k, j, i, 3)."""
    return np.moveaxis(np.indices(grid.shape)[::-1], 0, -1).astype(float)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_affine_positions_are_what_the_grids_say(name: str, other: str) -> None:
    grid, there, matrix = GEOMETRIES[name], GEOMETRIES[other], _affine()
    found = affine_positions(grid, there, matrix, DOUBLE)
    points = grid.to_lps(_indices(grid)) @ matrix[:3, :3].T + matrix[:3, 3]
    assert found.shape == (1, 3, *grid.shape)
    assert np.allclose(found[0].flip(0).permute(1, 2, 3, 0).numpy(), there.to_index(points), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_grid_under_the_identity_is_at_its_own_voxels(name: str) -> None:
    grid = GEOMETRIES[name]
    assert torch.allclose(affine_positions(grid, grid, np.eye(4), DOUBLE), identity(grid.shape, DOUBLE), atol=1e-9)
    assert np.allclose(voxel_matrix(grid, grid, np.eye(4)), np.eye(4), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_lattice_along_the_same_axes_is_read_as_voxel_by_voxel(name: str) -> None:
    grid = GEOMETRIES[name]
    image = torch.cat([texture(grid.shape, 1.0, seed) for seed in (1, 2)], 1)
    spacing = tuple(mm * factor for mm, factor in zip(grid.spacing, (0.6, 1.0, 1.7), strict=True))
    reaching = replace(grid, size=(31, 28, 17), spacing=spacing, origin=tuple(x - 2.3 for x in grid.origin))
    found = sample_lattice(image, lattice_places(reaching, grid, image))
    assert torch.allclose(found, sample(image, affine_positions(reaching, grid, np.eye(4), image)), atol=1e-9)
    assert torch.allclose(sample_lattice(image, lattice_places(grid, grid, image)), image, atol=1e-12)


def test_grids_along_other_axes_share_no_lattice() -> None:
    straight, *others = GEOMETRIES.values()
    for other in others:
        with pytest.raises(ValueError, match="axes"):
            lattice_places(straight, replace(other, direction=other.direction[3:] + other.direction[:3]), DOUBLE)


def test_voxel_matrices_chain() -> None:
    a, b, c = (GEOMETRIES[name] for name in NAMES[1:])
    matrix = _affine()
    chained = voxel_matrix(b, c, matrix) @ voxel_matrix(a, b, matrix)
    assert np.allclose(chained, voxel_matrix(a, c, matrix @ matrix), atol=1e-9)
    there = apply_matrix(voxel_matrix(a, b, matrix), identity(a.shape, DOUBLE))
    assert torch.allclose(
        apply_matrix(voxel_matrix(b, c, matrix), there), affine_positions(a, c, matrix @ matrix, DOUBLE)
    )


@pytest.mark.parametrize("name", NAMES)
def test_vectors_come_back_from_millimetres(name: str) -> None:
    grid = GEOMETRIES[name]
    field = smooth_field(grid.shape, 3.0, dtype=torch.float32)
    vectors = to_lps(field, grid)
    assert vectors.shape == (*grid.shape, 3)
    assert vectors.dtype == np.float32
    assert torch.allclose(from_lps(vectors, grid), field, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_one_voxel_along_a_tensor_axis_is_that_axis_in_millimetres(name: str) -> None:
    grid = GEOMETRIES[name]
    for axis in range(3):
        field = torch.zeros(1, 3, *grid.shape, dtype=torch.float64)
        field[:, axis] = 1.0
        step = grid.to_lps(np.eye(3)[2 - axis]) - grid.to_lps(np.zeros(3))
        assert np.allclose(to_lps(field, grid), step, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_without_affines_on_its_own_grid_a_displacement_is_the_field(name: str) -> None:
    grid = GEOMETRIES[name]
    field = smooth_field(grid.shape, 3.0)
    assert np.allclose(displacement_lps(field, grid, grid, np.eye(4), np.eye(4)), to_lps(field, grid), atol=1e-4)


def test_beyond_the_working_grid_a_displacement_is_the_affine() -> None:
    working = GEOMETRIES["flipped and anisotropic"]
    far = Grid((4, 5, 6), (2.0, 1.0, 1.5), (400.0, 300.0, -200.0))
    matrix = _affine()
    vectors = displacement_lps(smooth_field(working.shape, 3.0), working, far, np.eye(4), matrix)
    points = far.to_lps(_indices(far))
    assert np.allclose(points + vectors, points @ matrix[:3, :3].T + matrix[:3, 3], atol=1e-3)


def _through_simpleitk(path: Path, moving: sitk.Image, grid: Grid, interpolator: int) -> NDArray[np.float32]:
    """The moving image on a grid, through the field in a file, as SimpleITK reads and resamples it."""
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))
    moved = sitk.Resample(moving, grid.empty_image(), transform, interpolator, -1.0, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(moved)


def _check_against_simpleitk(
    path: Path, vectors: NDArray[np.float32], positions: torch.Tensor, image: torch.Tensor, source: Grid, grid: Grid
) -> None:
    """Our own reading of `image` at `positions` and SimpleITK's through the written field are the same image."""
    write_field(path, vectors, grid)
    moving = to_sitk(image[0, 0].numpy(), source)
    inside = torch.ones(grid.shape, dtype=torch.bool)
    for axis, n in enumerate(source.shape):
        inside &= (positions[0, axis] > 0.01) & (positions[0, axis] < n - 1.01)
    assert inside.sum() > 2000
    ours = sample(image, positions)[0, 0]
    theirs = _through_simpleitk(path, moving, grid, sitk.sitkLinear)
    assert np.abs(ours.numpy() - theirs)[inside.numpy()].max() < 1e-3
    # Halfway between two voxels rounding decides.
    clear = inside & ((positions[0] - positions[0].floor() - 0.5).abs().amin(0) > 1e-3)
    ours = sample(image, positions, "nearest")[0, 0]
    theirs = _through_simpleitk(path, moving, grid, sitk.sitkNearestNeighbor)
    assert np.array_equal(ours.numpy()[clear.numpy()], theirs[clear.numpy()])


@pytest.mark.parametrize("name", NAMES)
def test_simpleitk_warps_as_we_do_forward_and_backward(name: str, tmp_path: Path) -> None:
    """Target grid, atlas grid and working grid all differ; the affine leads from target to atlas."""
    target = GEOMETRIES[name]
    shift = np.asarray([3.0, 5.0, -2.0])
    affine = _affine()
    affine[:3, 3] += target.centre + shift - affine[:3, :3] @ target.centre - affine[:3, 3]
    centre = target.centre + shift
    straight = Grid((34, 31, 29), (1.1, 1.0, 1.3))
    atlas = Grid(straight.size, straight.spacing, tuple(float(x) for x in centre - straight.centre))
    working = target.box((-3, -2, -3), tuple(n + 5 for n in target.size)).resized((22, 26, 24))
    residual = exponential(smooth_field(working.shape, 2.5, 4.0, dtype=torch.float32))

    image = texture(atlas.shape, 1.0, seed=5, dtype=torch.float32)
    vectors = displacement_lps(residual, working, target, np.eye(4), affine)
    places = affine_positions(target, working, np.eye(4), residual)
    places = places + sample(residual, places)
    positions = apply_matrix(voxel_matrix(working, atlas, affine), places)
    _check_against_simpleitk(tmp_path / "forward.nrrd", vectors, positions, image, atlas, target)

    back = inverse(residual)
    image = texture(target.shape, 1.0, seed=6, dtype=torch.float32)
    vectors = displacement_lps(back, working, atlas, np.linalg.inv(affine), np.eye(4))
    places = affine_positions(atlas, working, np.linalg.inv(affine), back)
    places = places + sample(back, places)
    positions = apply_matrix(voxel_matrix(working, target, np.eye(4)), places)
    _check_against_simpleitk(tmp_path / "backward.nrrd", vectors, positions, image, target, atlas)


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_backward_lead_back_to_the_same_point(name: str, tmp_path: Path) -> None:
    """In millimetres, through SimpleITK's transforms: within a tenth of a voxel."""
    target = GEOMETRIES[name]
    affine = _affine()
    working = target.resized((25, 25, 25))
    residual = exponential(smooth_field(working.shape, 2.0, 5.0, dtype=torch.float32))
    points = target.to_lps(_indices(target).reshape(-1, 3)) @ affine[:3, :3].T + affine[:3, 3]
    low, high = points.min(0) - 8, points.max(0) + 8
    size = tuple(int(n) for n in np.ceil(high - low))
    atlas = Grid(size, (1.0, 1.0, 1.0), tuple(float(x) for x in low))
    write_field(tmp_path / "u.nrrd", displacement_lps(residual, working, target, np.eye(4), affine), target)
    back = displacement_lps(inverse(residual), working, atlas, np.linalg.inv(affine), np.eye(4))
    write_field(tmp_path / "w.nrrd", back, atlas)
    there, again = (
        sitk.DisplacementFieldTransform(sitk.ReadImage(str(tmp_path / file), sitk.sitkVectorFloat64))
        for file in ("u.nrrd", "w.nrrd")
    )
    random = np.random.default_rng(0)
    for index in random.uniform(2, np.asarray(target.size) - 3, (40, 3)):
        point = target.to_lps(index)
        moved = np.asarray(there.TransformPoint(point.tolist()))
        assert np.linalg.norm(moved - point) > 1.0
        returned = np.asarray(again.TransformPoint(moved.tolist()))
        assert np.linalg.norm(returned - point) < 0.15 * max(target.spacing)


def test_a_written_displacement_gives_its_residual_back() -> None:
    """Through an affine, on an oblique grid, within what float32 keeps."""
    turned = turn((1.0, 2.0, 0.5), 30.0, (0.0, 0.0, 0.0))
    direction = tuple(float(value) for value in turned[:3, :3].ravel())
    grid = Grid((14, 12, 10), (1.5, 2.0, 2.5), (5.0, -3.0, 8.0), direction)
    affine = turn((0.0, 1.0, 1.0), 12.0, grid.centre)
    affine[:3, 3] += (4.0, -6.0, 2.0)
    residual = torch.randn(1, 3, *grid.shape, generator=torch.Generator().manual_seed(0))
    vectors = displacement_lps(residual, grid, grid, np.eye(4), affine)
    found = residual_of(vectors, grid, grid, np.eye(4), np.asarray(np.linalg.inv(affine)))
    assert torch.allclose(found, residual, atol=1e-4)
