"""The inverse of a displacement field by fixed-point iteration (Chen et al., Med Phys 2008)."""

from __future__ import annotations

import torch
from torch import Tensor

from .sampling import identity, sample, shape_of

_LEAST_PACE, _FULL_PACE = 0.25, 1.0


def inverse(field: Tensor, iterations: int = 30, tolerance: float = 0.01, start: Tensor | None = None) -> Tensor:
    """The field w with `w(q) = -u(q + w(q))`, so that following one field and then the other leads back.

    Plain iteration diverges where u doubles a length or turns by more than 60 degrees. Here each voxel takes only as
    much of a step as its last two residuals advise (Barzilai and Borwein, IMA J Numer Anal 1988), which converges
    wherever the field does not fold, and sooner.

    Args:
        field: u, (1, 3, D, H, W) in voxels.
        iterations: at most this many.
        tolerance: stop when the 99.9th percentile of the residual falls below this many voxels.
        start: first guess of w, same shape.

    Returns: w, same shape, in voxels.
    """
    points = identity(shape_of(field), field)
    guess = -field if start is None else start.clone()
    step, last = guess, guess
    for iteration in range(iterations):
        residual = guess + sample(field, points + guess)
        pace = _pace(step, residual - last) if iteration else _FULL_PACE
        step, last = residual * -pace, residual
        guess += step
        if _percentile(residual) < tolerance:
            break
    return guess


def _pace(step: Tensor, change: Tensor) -> Tensor:
    """The share of the residual to take, (1, 1, D, H, W), from the last step and the change that it made."""
    along = torch.einsum("bcdhw,bcdhw->bdhw", step, change)
    return (along / change.square().sum(1).clamp_(min=1e-12)).clamp_(_LEAST_PACE, _FULL_PACE)[:, None]


def _percentile(residual: Tensor) -> float:
    lengths = residual.square().sum(1).flatten()
    rank = max(int(0.999 * lengths.numel()), 1)
    return float(lengths.kthvalue(rank).values.sqrt())
