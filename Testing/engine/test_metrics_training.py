"""The figures that papers on trained methods report: correlation, volume change, forward differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from JointRegSegLib.fields import identity, jacobian_determinant
from JointRegSegLib.metrics import ncc, statistics, topology_change

SHAPE = (6, 7, 8)
PLACES = identity(SHAPE, torch.zeros(1, dtype=torch.float64))


def test_correlation_is_numpys() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, *SHAPE))
    b += 0.5 * a
    mask = a > -0.5
    assert ncc(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert ncc(a, b, mask) == pytest.approx(np.corrcoef(a[mask], b[mask])[0, 1])
    assert ncc(a, 3 - 2 * a) == pytest.approx(-1)


def test_a_flat_image_has_no_correlation() -> None:
    image = np.random.default_rng(0).normal(size=SHAPE)
    assert math.isnan(ncc(image, np.full(SHAPE, 0.25)))


def test_volume_change_by_hand() -> None:
    moving = np.array([[[1, 1, 1, 1], [2, 2, 0, 0], [3, 0, 0, 0]]], np.uint16)
    warped = np.array([[[1, 1, 1, 0], [2, 2, 2, 0], [0, 0, 0, 4]]], np.uint16)
    assert topology_change(warped, moving) == pytest.approx((3 / 4 + 3 / 2 + 0) / 3)
    assert topology_change(warped, moving, [1, 2]) == pytest.approx((3 / 4 + 3 / 2) / 2)
    assert topology_change(moving, moving) == 1.0
    assert math.isnan(topology_change(warped, moving, [4, 9]))


@pytest.mark.parametrize("axis", range(3))
def test_a_stretch_along_any_axis_has_its_factor(axis: int) -> None:
    """A public version of this figure gave 1.0 along two of the axes."""
    field = torch.zeros_like(PLACES)
    field[:, axis] = 0.3 * PLACES[:, axis]
    for differences in ("central", "forward"):
        found = statistics(jacobian_determinant(field, differences).numpy())
        assert (found.minimum, found.maximum) == pytest.approx((1.3, 1.3))


def test_an_affine_map_has_the_determinant_of_its_matrix() -> None:
    matrix = torch.tensor([[0.1, -0.2, 0.05], [0.3, 0.02, -0.1], [0.0, 0.07, -0.04]], dtype=torch.float64)
    field = torch.einsum("ij,bjdhw->bidhw", matrix, PLACES)
    found = jacobian_determinant(field, "forward")
    assert found.shape == (1, 1, *(n - 1 for n in SHAPE))
    expected = torch.linalg.det(torch.eye(3, dtype=torch.float64) + matrix)
    assert torch.allclose(found, expected.expand_as(found))


def test_forward_differences_look_one_voxel_ahead() -> None:
    """Where central ones look both ways: a step is seen at one place, not at two."""
    field = torch.zeros_like(PLACES)
    field[:, 0, 3:] = 1.0
    forward, central = (jacobian_determinant(field, d)[0, 0, :, 2, 2].tolist() for d in ("forward", "central"))
    assert forward == [1, 1, 2, 1, 1]
    assert central == [1, 1, 1.5, 1.5, 1, 1]


def test_shares_of_0_and_below() -> None:
    found = statistics(np.array([[[1.0, 0.0], [-0.5, 2.0]]]))
    assert (found.folding_percent, found.negative_percent) == (50.0, 25.0)
