"""Differences between neighbouring voxels."""

from __future__ import annotations

import torch
from torch import Tensor


def central_difference(x: Tensor, axis: int, out: Tensor | None = None) -> Tensor:
    """Half the difference of both neighbours along an axis, one-sided at its ends; not differentiable.

    The same numbers as `torch.gradient`, which writes several copies of the image for each axis.

    Args:
        x: of any shape, at least 2 along the axis.
        axis: which one.
        out: of the shape of `x`, to write to.
    """
    n = x.shape[axis]
    found = torch.empty_like(x) if out is None else out
    torch.sub(x.narrow(axis, 2, n - 2), x.narrow(axis, 0, n - 2), out=found.narrow(axis, 1, n - 2)).mul_(0.5)
    torch.sub(x.narrow(axis, 1, 1), x.narrow(axis, 0, 1), out=found.narrow(axis, 0, 1))
    torch.sub(x.narrow(axis, n - 1, 1), x.narrow(axis, n - 2, 1), out=found.narrow(axis, n - 1, 1))
    return found
