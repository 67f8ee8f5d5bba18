"""Losses of what a network computed in half precision are those in single precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from JointRegSegLib.losses import (
    bending_energy,
    cross_entropy,
    diffusion,
    global_ncc,
    soft_dice,
    squared_lncc,
    symmetric_kl,
)
from Testing.engine.tensor_cases import generator

SHAPE = (6, 7, 8)
LABELS = torch.randint(3, (1, 1, *SHAPE), generator=generator(2))

CASES: dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor]]] = {
    "dice": (3, lambda a, b: soft_dice(a.softmax(1), b=b.softmax(1))),
    "dice by name": (3, lambda a, b: soft_dice(a=a.sigmoid(), b=b.sigmoid(), weight=b[:, :1].sigmoid())),
    "cross entropy": (3, lambda a, _: cross_entropy(a, LABELS, hardest=0.5)),
    "divergence": (3, lambda a, b: symmetric_kl(a.sigmoid(), b.sigmoid())),
    "diffusion": (3, lambda a, _: diffusion(a)),
    "bending": (3, lambda a, _: bending_energy(a)),
    "correlation": (1, global_ncc),
    "windows": (1, lambda a, b: squared_lncc(a, b, 3)),
}


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", CASES)
def test_half_precision_goes_in_and_single_comes_out(name: str, half: torch.dtype) -> None:
    channels, loss = CASES[name]
    a, b = (torch.randn(1, channels, *SHAPE, generator=generator(s)).to(half).requires_grad_() for s in (0, 1))
    expected = loss(a.float(), b.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(a, b)
    assert found.dtype == torch.float32
    assert found.shape == (1,)
    assert torch.allclose(found, expected, rtol=2e-2, atol=1e-3)
    found.sum().backward()
    assert torch.isfinite(a.grad).all()


def test_sums_beyond_the_largest_half_number_are_finite() -> None:
    """48^3 voxels of a class are more than 65504."""
    ones = torch.ones(1, 2, 48, 48, 48, dtype=torch.float16)
    assert soft_dice(ones, ones).item() == pytest.approx(0.0, abs=1e-6)


def test_under_autocast_no_operation_is_narrowed() -> None:
    """Softmax and friends aside, products of matrices would be: the result is the same to the last bit."""
    a, b = (torch.randn(1, 1, *SHAPE, generator=generator(s)) for s in (0, 1))
    with torch.autocast("cpu", torch.bfloat16):
        found = squared_lncc(a, b, 3), global_ncc(a, b), diffusion(a.expand(1, 3, *SHAPE))
    assert found == (squared_lncc(a, b, 3), global_ncc(a, b), diffusion(a.expand(1, 3, *SHAPE)))


def test_double_precision_stays() -> None:
    field = torch.randn(1, 3, *SHAPE, dtype=torch.float64, generator=generator(0))
    assert diffusion(field).dtype == torch.float64
