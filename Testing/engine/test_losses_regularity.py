"""What the regularisers leave alone, and what they charge for by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from JointRegSegLib.fields import identity
from JointRegSegLib.losses import bending_energy, diffusion
from Testing.engine.tensor_cases import generator, smooth_field

SHAPE = (7, 8, 9)
PLACES = identity(SHAPE, torch.zeros(1, dtype=torch.float64))
SHIFT = torch.tensor([1.5, -2.0, 0.3], dtype=torch.float64).view(1, 3, 1, 1, 1)
MATRIX = torch.tensor([[0.1, -0.2, 0.05], [0.3, 0.02, -0.1], [0.0, 0.07, -0.04]], dtype=torch.float64)


def _affine() -> Tensor:
    return torch.einsum("ij,bjdhw->bidhw", MATRIX, PLACES) + SHIFT


def test_a_translation_costs_nothing() -> None:
    field = SHIFT.expand(2, 3, *SHAPE)
    assert diffusion(field).tolist() == [0.0, 0.0]
    assert bending_energy(field).tolist() == [0.0, 0.0]


def test_an_affine_map_costs_its_matrix_and_does_not_bend() -> None:
    assert diffusion(_affine()).item() == pytest.approx(MATRIX.square().mean().item())
    assert bending_energy(_affine()).item() == pytest.approx(0.0, abs=1e-20)


@pytest.mark.parametrize("axis", range(3))
def test_a_parabola_bends_by_its_second_derivative(axis: int) -> None:
    """u_0 = p^2 along one axis: one of nine entries is 2, in one of three components."""
    field = torch.zeros_like(PLACES)
    field[:, 0] = PLACES[:, axis].square()
    assert bending_energy(field).item() == pytest.approx(2**2 / 9 / 3)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (0, 2), (1, 2)])
def test_a_saddle_bends_twice(a: int, b: int) -> None:
    """u_1 = p_a p_b: two of nine entries are 1, in one of three components."""
    field = torch.zeros_like(PLACES)
    field[:, 1] = PLACES[:, a] * PLACES[:, b]
    assert bending_energy(field).item() == pytest.approx(2 / 9 / 3)


@pytest.mark.parametrize("loss", [diffusion, bending_energy])
def test_twice_the_field_costs_four_times(loss: object) -> None:
    field = smooth_field(SHAPE, 2.0, 1.0)
    assert loss(2 * field).item() == pytest.approx(4 * loss(field).item())
    assert loss(field).item() > 0


@pytest.mark.parametrize("loss", [diffusion, bending_energy])
def test_axes_are_alike(loss: object) -> None:
    field = smooth_field(SHAPE, 2.0, 1.0)
    turned = field.permute(0, 1, 4, 2, 3)[:, [2, 0, 1]]
    assert loss(turned).item() == pytest.approx(loss(field).item())


@pytest.mark.parametrize("loss", [diffusion, bending_energy])
def test_each_sample_has_its_own_and_the_gradient_is_the_derivative(loss: object) -> None:
    fields = torch.randn(2, 3, 4, 3, 5, generator=generator(0), dtype=torch.float64).requires_grad_()
    alone = torch.cat([loss(fields[:1]), loss(fields[1:])])
    assert torch.allclose(loss(fields), alone, rtol=1e-12)
    assert torch.autograd.gradcheck(loss, (fields,))
