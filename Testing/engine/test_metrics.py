"""Dice, surface distance and Jacobian figures on arrays small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from JointRegSegLib.fields import identity, jacobian_determinant
from JointRegSegLib.metrics import dice, hd95, hd95_each, statistics

A = np.array([[[0, 1, 1, 1], [2, 2, 0, 0], [3, 0, 0, 0]]], np.uint16)
B = np.array([[[0, 1, 1, 0], [2, 1, 0, 0], [0, 0, 4, 0]]], np.uint16)


def test_dice_by_hand() -> None:
    assert dice(A, B) == {1: pytest.approx(2 * 2 / (3 + 3)), 2: pytest.approx(2 * 1 / (2 + 1)), 3: 0.0, 4: 0.0}
    assert dice(A, A) == {1: 1.0, 2: 1.0, 3: 1.0}
    assert dice(A, B) == dice(B, A)


def test_dice_of_chosen_structures() -> None:
    assert dice(A, B, [2, 4]) == {2: pytest.approx(2 / 3), 4: 0.0}
    assert dice(A, B, [9, 70000]) == {}
    assert dice(A, B, [0])[0] == pytest.approx(2 * 5 / (6 + 7))
    nothing = np.zeros_like(A)
    assert dice(nothing, nothing) == {}
    assert dice(nothing, A, [1]) == {1: 0.0}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_dice_takes_any_integers(kind: type[np.integer]) -> None:
    assert dice(A.astype(kind), B.astype(kind)) == dice(A, B)


def _box(start: tuple[int, int, int], size: tuple[int, int, int] = (4, 4, 4), value: int = 1) -> np.ndarray:
    labels = np.zeros((16, 18, 20), np.uint16)
    labels[tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))] = value
    return labels


@pytest.mark.parametrize("pooled", [False, True])
def test_the_same_structure_is_at_distance_0(pooled: bool) -> None:
    assert hd95(_box((3, 4, 5)), _box((3, 4, 5)), 1, (1.0, 2.0, 3.0), pooled) == 0.0


@pytest.mark.parametrize(("axis", "spacing"), [(0, 3.0), (1, 0.5), (2, 1.25)])
@pytest.mark.parametrize("pooled", [False, True])
def test_a_plate_moved_by_three_voxels_is_three_spacings_away(axis: int, spacing: float, pooled: bool) -> None:
    size = tuple(1 if a == axis else 6 for a in range(3))
    moved = tuple(5 if a == axis else 2 for a in range(3))
    a, b = _box((2, 2, 2), size), _box(moved, size)
    assert hd95(a, b, 1, (3.0, 0.5, 1.25), pooled) == pytest.approx(3 * spacing)


def test_single_voxels_are_as_far_apart_as_they_lie() -> None:
    a, b = _box((1, 1, 1), (1, 1, 1)), _box((4, 5, 13), (1, 1, 1))
    spacing = (2.0, 1.0, 0.5)
    assert hd95(a, b, 1, spacing) == pytest.approx(math.sqrt(6**2 + 4**2 + 6**2))
    assert hd95(a, b, 1, spacing, pooled=True) == pytest.approx(math.sqrt(6**2 + 4**2 + 6**2))


def test_surfaces_at_the_edge_of_the_array_count() -> None:
    a, b = _box((0, 0, 0), (16, 18, 20)), _box((0, 0, 0), (16, 18, 14))
    assert hd95(a, b, 1, (1.0, 1.0, 1.0)) == pytest.approx(6.0)


def test_only_surfaces_count() -> None:
    """A hole inside a box has a surface of its own, some voxels from the outer one."""
    solid, hollow = _box((2, 2, 2), (9, 9, 9)), _box((2, 2, 2), (9, 9, 9))
    hollow[5:8, 5:8, 5:8] = 0
    assert hd95(solid, hollow, 1, (1.0, 1.0, 1.0)) == pytest.approx(2.0, abs=0.5)


def test_pooled_and_directed_percentiles_differ() -> None:
    """On a line every voxel is surface: the distances each way are counted out here."""
    a, b = np.zeros((1, 1, 60), np.uint16), np.zeros((1, 1, 60), np.uint16)
    a[0, 0, :18] = b[0, 0, :38] = 1
    a[0, 0, 46:48] = 1
    there, back = [0.0] * 18 + [9.0, 10.0], [0.0] * 18 + [float(min(n - 17, 46 - n)) for n in range(18, 38)]
    directed = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hd95(a, b, 1, (1.0, 1.0, 1.0)) == pytest.approx(directed)
    assert hd95(a, b, 1, (1.0, 1.0, 1.0), pooled=True) == pytest.approx(np.percentile(there + back, 95))
    assert hd95(a, b, 1, (1.0, 1.0, 1.0)) != hd95(a, b, 1, (1.0, 1.0, 1.0), pooled=True)


def test_each_structure_in_its_own_box_is_as_in_the_whole() -> None:
    labels = np.random.default_rng(0).integers(0, 7, (2, 3, 4, 5)).repeat(4, 1).repeat(4, 2).repeat(4, 3)
    a, b = labels.astype(np.uint16)
    a[a == 2], b[b == 5] = 0, 0
    a[a == 6], b[b == 6] = 0, 0
    spacing = (1.5, 1.0, 0.7)
    found = hd95_each(a, b, spacing)
    assert set(found) == set(dice(a, b)) == {1, 2, 3, 4, 5}
    assert math.isnan(found[2])
    assert math.isnan(found[5])
    for value in (1, 3, 4):
        assert found[value] == hd95(a, b, value, spacing)


def test_stray_voxels_below_5_percent_are_forgiven() -> None:
    a, b = _box((2, 2, 2), (8, 8, 8)), _box((2, 2, 2), (8, 8, 8))
    b[15, 17, 19] = 1
    assert hd95(a, b, 1, (1.0, 1.0, 1.0)) == 0.0


def test_a_missing_structure_has_no_distance() -> None:
    a, b = _box((2, 2, 2)), _box((2, 2, 2), value=2)
    assert math.isnan(hd95(a, b, 1, (1.0, 1.0, 1.0)))
    assert math.isnan(hd95(b, a, 1, (1.0, 1.0, 1.0)))
    assert math.isnan(hd95(a, a, 7, (1.0, 1.0, 1.0)))


def test_distances_are_symmetric_and_follow_the_spacing() -> None:
    a, b = _box((2, 2, 2), (5, 6, 7)), _box((4, 3, 6), (6, 5, 7))
    for pooled in (False, True):
        there = hd95(a, b, 1, (1.0, 2.0, 3.0), pooled)
        assert there == hd95(b, a, 1, (1.0, 2.0, 3.0), pooled)
        assert hd95(a, b, 1, (2.0, 4.0, 6.0), pooled) == pytest.approx(2 * there)


def test_jacobian_figures_by_hand() -> None:
    found = statistics(np.array([[[1.0, 2.0], [0.5, -0.5]]]))
    assert found.folding_percent == 25.0
    assert (found.minimum, found.maximum) == (-0.5, 2.0)
    assert found.std == pytest.approx(np.sqrt(np.mean((np.array([1.0, 2.0, 0.5, -0.5]) - 0.75) ** 2)))
    logs = [0.0, math.log(2), -math.log(2), math.log(1e-3)]
    assert found.sd_log == pytest.approx(np.std(logs))


def test_jacobian_figures_inside_a_mask() -> None:
    determinants = np.array([[[1.0, math.e], [1 / math.e, 0.0]]])
    mask = np.array([[[True, True], [True, False]]])
    found = statistics(determinants, mask)
    assert found.folding_percent == 0.0
    assert found.minimum == pytest.approx(1 / math.e)
    assert found.sd_log == pytest.approx(math.sqrt(2 / 3))
    assert statistics(determinants).folding_percent == 25.0


def test_no_deformation_has_no_spread() -> None:
    determinants = jacobian_determinant(torch.zeros(1, 3, 5, 6, 7))[0, 0].numpy()
    found = statistics(determinants)
    assert (found.folding_percent, found.minimum, found.maximum, found.std, found.sd_log) == (0.0, 1.0, 1.0, 0.0, 0.0)


def test_a_mirrored_half_folds() -> None:
    place = identity((12, 5, 5), torch.zeros(1, dtype=torch.float64))
    field = torch.zeros_like(place)
    field[:, 0] = torch.where(place[:, 0] > 5, 2 * (5 - place[:, 0]), 0.0)
    found = statistics(jacobian_determinant(field)[0, 0].numpy())
    assert found.minimum == pytest.approx(-1.0)
    assert found.folding_percent == pytest.approx(100 * 7 / 12)
