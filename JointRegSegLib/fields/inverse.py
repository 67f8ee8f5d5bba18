"""The inverse of a displacement field by fixed-point iteration (Chen et al., Med Phys 2008)."""

from __future__ import annotations

import torch
from torch import Tensor

from .resize import resize_field
from .sampling import identity, sample, shape_of

_LEAST_PACE, _FULL_PACE = 0.25, 1.0
_LARGE_SIDE = 64
_SLAB = 32


def inverse(field: Tensor, iterations: int = 12, tolerance: float = 0.05, start: Tensor | None = None) -> Tensor:
    """The field w with `w(q) = -u(q + w(q))`, so that following one field and then the other leads back.

    Plain iteration diverges where u doubles a length or turns by more than 60 degrees. Here each voxel takes only as
    much of a step as its last two residuals advise (Barzilai and Borwein, IMA J Numer Anal 1988), which converges
    wherever the field does not fold, and sooner. Large fields start from the inverse at half their resolution.

    Args:
        field: u, (1, 3, D, H, W) in voxels.
        iterations: at most this many.
        tolerance: stop when the 99.9th percentile of the residual falls below this many voxels.
        start: first guess of w, same shape; found where None.

    Returns: w, same shape, in voxels.
    """
    shape = shape_of(field)
    if start is None and min(shape) > _LARGE_SIDE:
        half = (shape[0] + 1) // 2, (shape[1] + 1) // 2, (shape[2] + 1) // 2
        start = resize_field(inverse(resize_field(field, half), iterations, tolerance), shape)
    guess = -field if start is None else start.clone()
    step, last, lengths = torch.zeros_like(field), torch.zeros_like(field), torch.empty_like(field[:, :1])
    for iteration in range(iterations):
        for first in range(0, shape[0], _SLAB):  # slab by slab, so that what is only needed here stays small
            here = slice(first, min(first + _SLAB, shape[0]))
            points = identity((here.stop - first, *shape[1:]), field)
            points[:, 0] += first
            w = guess[:, :, here]
            residual = sample(field, points.add_(w)).add_(w)
            pace = _pace(step[:, :, here], residual - last[:, :, here]) if iteration else _FULL_PACE
            step[:, :, here] = residual * -pace
            last[:, :, here] = residual
            lengths[:, :, here] = residual.square_().sum(1, keepdim=True)
        guess += step
        if _percentile(lengths) < tolerance:
            break
    return guess


def _pace(step: Tensor, change: Tensor) -> Tensor:
    """The share of the residual to take, (1, 1, D, H, W), from the last step and the change that it made."""
    along = torch.einsum("bcdhw,bcdhw->bdhw", step, change)
    return (along / change.square().sum(1).clamp_(min=1e-12)).clamp_(_LEAST_PACE, _FULL_PACE)[:, None]


def _percentile(squares: Tensor) -> float:
    """The 99.9th percentile of lengths, from their squares."""
    rank = max(int(0.999 * squares.numel()), 1)
    return float(squares.flatten().kthvalue(rank).values.sqrt())
