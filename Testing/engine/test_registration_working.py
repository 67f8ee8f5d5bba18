"""The scans on coarser grids, and the working grid: what it covers, what it caps, and both scans on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from JointRegSegLib.fields import affine_positions, sample, shape_of
from JointRegSegLib.registration import Scan, pair_on, working_grid
from JointRegSegLib.volumes import Grid
from Testing.engine.registration_cases import moved, phantom_scans, shift, turn
from Testing.engine.tensor_cases import grid_of, tilted


def _block(shape: tuple[int, int, int], box: tuple[slice, slice, slice], grid: Grid, cut: bool = False) -> Scan:
    body = torch.zeros(1, 1, *shape)
    body[(0, 0, *box)] = 1.0
    return Scan(body * 0.7, body, None, grid, cut)


OBLIQUE = grid_of((50, 40, 30), (1.0, 1.2, 2.0), (30.0, -20.0, 10.0), tilted((20, 10, -30), (0, 1, 2), (1, 1, 1)))
BLOCK = (slice(12, 20), slice(2, 30), slice(20, 48))


def test_the_working_grid_covers_the_body_with_room_around_it() -> None:
    """It is part of the target's own lattice, and reaches beyond it where the body lies close to the edge."""
    scan = _block(OBLIQUE.shape, BLOCK, OBLIQUE)
    grid = working_grid(scan, 1e9)
    corner = OBLIQUE.to_index(grid.to_lps((0, 0, 0)))
    assert np.allclose(corner, np.round(corner), atol=1e-6)
    assert grid.spacing == pytest.approx(OBLIQUE.spacing)
    last = OBLIQUE.to_index(grid.to_lps(np.asarray(grid.size) - 1))
    first_voxel, last_voxel = np.array([20, 2, 12]), np.array([47, 29, 19])
    assert (corner <= first_voxel - 3).all()
    assert (last >= last_voxel + 3).all()
    assert corner[1] < 0
    assert last[0] > OBLIQUE.size[0] - 1
    assert corner[2] > 0


@pytest.mark.parametrize("most", [1e3, 8e3, 3e4, 1e9])
def test_the_working_grid_keeps_to_its_number_of_voxels(most: float) -> None:
    scan = _block(OBLIQUE.shape, BLOCK, OBLIQUE)
    grid, free = working_grid(scan, most), working_grid(scan, 1e9)
    count = float(np.prod(grid.size))
    assert count <= most
    assert count > 0.4 * min(most, float(np.prod(free.size)))
    for corner in np.ndindex(2, 2, 2):
        there = grid.to_lps(np.asarray(corner) * (np.asarray(grid.size) - 1))
        assert np.allclose(there, free.to_lps(np.asarray(corner) * (np.asarray(free.size) - 1)))


def test_coarsening_evens_out_the_spacing_first() -> None:
    scan = _block(OBLIQUE.shape, BLOCK, OBLIQUE)
    grid, free = working_grid(scan, 3e4), working_grid(scan, 1e9)
    assert max(grid.spacing) / min(grid.spacing) < max(free.spacing) / min(free.spacing)


def test_a_scan_and_itself_make_a_pair_of_the_same() -> None:
    target, _ = phantom_scans()
    grid = working_grid(target, 1e9)
    pair = pair_on(grid, target, target, np.eye(4))
    assert torch.equal(pair.fixed, pair.moving)
    assert shape_of(pair.fixed) == grid.shape
    assert pair.fixed_weight is None
    assert pair.moving_weight is None
    start = np.round(target.grid.to_index(grid.to_lps((0, 0, 0)))).astype(int)
    there = tuple(slice(max(-s, 0), None) for s in start[::-1])
    here = tuple(slice(max(s, 0), None) for s in start[::-1])
    part, whole = pair.fixed[0, 0][there], target.image[0, 0][here]
    sizes = tuple(slice(0, min(a, b)) for a, b in zip(part.shape, whole.shape, strict=True))
    assert torch.allclose(part[sizes], whole[sizes], atol=1e-4)


def test_the_affine_leads_from_the_target_to_the_atlas() -> None:
    """An atlas that is the target somewhere else looks like the target through the motion that put it there."""
    target, _ = phantom_scans()
    motion = shift((25.0, -70.0, 12.0)) @ turn((1, 2, 3), 50, target.grid.centre)
    grid = working_grid(target, 2e5)
    pair = pair_on(grid, target, moved(target, motion), motion)
    assert torch.allclose(pair.fixed, pair.moving, atol=1e-4)
    wrong = pair_on(grid, target, moved(target, motion), np.linalg.inv(motion))
    assert (wrong.moving - wrong.fixed).abs().mean() > 0.05


def test_beyond_a_scan_that_is_cut_nothing_counts() -> None:
    target, atlas = phantom_scans()
    grid = working_grid(target, 1e5)
    away = shift((60.0, 0.0, 0.0))
    pair = pair_on(grid, replace(target, cut=True), replace(atlas, cut=True), away)
    assert pair.fixed_weight is not None
    assert pair.moving_weight is not None
    index = np.moveaxis(np.indices(grid.shape)[::-1], 0, -1)
    for weight, scan, points in (
        (pair.fixed_weight, target, grid.to_lps(index)),
        (pair.moving_weight, atlas, grid.to_lps(index) + away[:3, 3]),
    ):
        places = scan.grid.to_index(points)
        inside = ((places > 0) & (places < np.asarray(scan.grid.size) - 1)).all(-1)
        outside = ((places < -1) | (places > scan.grid.size)).any(-1)
        values = weight[0, 0].numpy()
        assert outside.any()
        assert (values[inside] == 1).all()
        assert (values[outside] == 0).all()


def test_masks_come_along() -> None:
    target, atlas = phantom_scans()
    weight = torch.ones_like(target.image)
    weight[..., :30] = 0.0
    grid = working_grid(target, 1e5)
    pair = pair_on(grid, replace(target, weight=weight), atlas, np.eye(4))
    assert pair.moving_weight is None
    assert pair.fixed_weight is not None
    places = target.grid.to_index(grid.to_lps(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1)))
    values = pair.fixed_weight[0, 0].numpy()
    assert values[places[..., 0] < 25].max() < 0.01
    assert values[places[..., 0] > 34].min() > 0.99


@pytest.mark.parametrize("mm", [3.0, 6.0, 12.0])
def test_a_coarser_scan_shows_the_same_body_in_the_same_place(mm: float) -> None:
    target, _ = phantom_scans()
    coarse = target.at_spacing(mm)
    assert max(coarse.grid.spacing) == pytest.approx(mm, rel=0.15)
    there = sample(target.image, affine_positions(coarse.grid, target.grid, np.eye(4), target.image))
    assert np.corrcoef(coarse.image.flatten(), there.flatten())[0, 1] > 0.8
    for one, other in zip(target.centre_and_spread(), coarse.centre_and_spread(), strict=True):
        assert np.abs(one - other).max() < 0.25 * mm


def test_axes_that_are_coarse_already_stay() -> None:
    scan = _block((12, 40, 50), (slice(2, 10), slice(5, 35), slice(5, 45)), Grid((50, 40, 12), (1.0, 1.0, 6.0)))
    assert scan.at_spacing(3.0).grid.shape[0] == 12
    assert scan.at_spacing(3.0).grid.shape[1:] == (13, 17)
    assert scan.at_spacing(0.5).grid == scan.grid


def test_the_centre_and_spread_of_a_block() -> None:
    """A block of n voxels of s mm spreads s sqrt((n^2 - 1) / 12) along each axis."""
    grid = Grid((50, 40, 30), (1.0, 1.5, 2.0), (-10.0, 20.0, 5.0))
    centre, spread = _block(grid.shape, BLOCK, grid).centre_and_spread()
    assert np.allclose(centre, grid.to_lps((33.5, 15.5, 15.5)))
    assert np.allclose(spread, [s * np.sqrt((n**2 - 1) / 12) for s, n in ((1.0, 28), (1.5, 28), (2.0, 8))])
    empty = Scan(torch.zeros(1, 1, 4, 5, 6), torch.zeros(1, 1, 4, 5, 6), None, Grid((6, 5, 4)), False)
    assert np.allclose(empty.centre_and_spread()[0], empty.grid.centre)
