"""Ending a field beyond the working grid, so that it is zero wherever it is not known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from JointRegSegLib.volumes.grid import Grid

_WIDTH_PER_VOXEL = 2.2
_LEAST_WIDTH, _USUAL_WIDTH = 4, 24


def fade_beyond(field: Tensor, grid: Grid, margin: int) -> tuple[Tensor, Grid]:
    """The field on a larger grid, falling smoothly to zero over its margin and beyond.

    The rim is wide enough for the displacements at the border to end without folding, up to 24 voxels or a sixth of
    the grid: scans that show different parts of a body may need more, and fold beyond the target then.

    Args:
        field: (1, 3, D, H, W) in voxels of `grid`.
        margin: outermost voxels of `grid` that hold nothing of interest, where the fall may begin.

    Returns: the same on the larger grid, zero on its outermost voxels.
    """
    widths = [_rim(field, axis, margin) for axis in (2, 3, 4)]
    d, h, w = widths
    padded = F.pad(field, (w, w, h, h, d, d), mode="replicate")
    padded = _ramped(padded, [width + margin for width in widths])
    size = (grid.size[0] + 2 * w, grid.size[1] + 2 * h, grid.size[2] + 2 * d)
    return padded, grid.box((-w, -h, -d), size)


def faded(field: Tensor, width: int) -> Tensor:
    """A field (1, 3, D, H, W) that falls smoothly to zero over its outermost voxels."""
    return _ramped(field.clone(), [width] * 3)


def _ramped(field: Tensor, widths: Sequence[int]) -> Tensor:
    """The field, in place, times a ramp over the outermost voxels of each axis."""
    for axis, width in zip((2, 3, 4), widths, strict=True):
        n = field.shape[axis]
        place = torch.arange(n, dtype=field.dtype, device=field.device)
        ramp = (torch.minimum(place, n - 1 - place) / width).clamp_(0, 1)
        shape = [1] * 5
        shape[axis] = n
        field *= (ramp * ramp * (3 - 2 * ramp)).view(shape)
    return field


def _rim(field: Tensor, axis: int, margin: int) -> int:
    """Voxels to add over which, with the margin, the largest displacement at an axis's two faces can end."""
    faces = torch.cat([field.select(axis, 0).flatten(2), field.select(axis, field.shape[axis] - 1).flatten(2)], 2)
    wanted = math.ceil(_WIDTH_PER_VOXEL * float(faces.square().sum(1).max().sqrt())) - margin
    return max(_LEAST_WIDTH, min(wanted, max(field.shape[axis] // 6, _USUAL_WIDTH)))
