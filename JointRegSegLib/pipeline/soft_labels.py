"""Label maps as the shares of structures that pull in the registration: (1, C, D, H, W) uint8 in 1/255."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..fields import Matrix, affine_positions, coarsened, sample
from ..volumes import Grid, LabelMap

_ONE = 255.0
_BLURRED = 4.0
"""Voxels of the coarser grid, on either side, that a structure may be smoothed into."""


def soft_labels(labels: LabelMap, groups: Sequence[Sequence[int]], grid: Grid, matrix: Matrix, like: Tensor) -> Tensor:
    """The shares of groups of label values on another grid, smoothed to its voxels.

    Args:
        labels: the label map.
        groups: the values of each of C structures.
        grid: where the shares are wanted.
        matrix: 4x4, points of `grid` to points of `labels`, LPS mm.
        like: a tensor of the wanted floating type and device while computing.
    """
    found = torch.zeros(1, len(groups), *grid.shape, dtype=torch.uint8, device=like.device)
    for channel, values in enumerate(groups):
        mask = np.isin(labels.array, values)
        box = _box(mask, labels.grid, grid, matrix)
        if box is None:
            continue
        size = [side.stop - side.start for side in box]
        part = grid.box((box[2].start, box[1].start, box[0].start), (size[2], size[1], size[0]))
        share = torch.from_numpy(mask.astype(np.float32))[None, None].to(like)
        share = coarsened(share, labels.grid.spacing, grid.spacing)
        places = affine_positions(part, labels.grid, matrix, like)
        found[(0, channel, *box)] = stored(sample(share, places, padding="zeros"))[0, 0]
    return found


def _box(mask: NDArray[np.bool_], own: Grid, grid: Grid, matrix: Matrix) -> tuple[slice, slice, slice] | None:
    """The box of voxels (d, h, w) of a grid that sees a mask on its own grid; None where it sees nothing."""
    sides = ndimage.find_objects(mask.view(np.uint8))[0] if mask.any() else None
    if sides is None:
        return None
    reach = _BLURRED * np.maximum(np.array(grid.spacing) / np.array(own.spacing), 1.0)
    low = np.array([side.start for side in reversed(sides)]) - reach
    high = np.array([side.stop - 1 for side in reversed(sides)]) + reach
    corners = own.to_lps(np.array(list(itertools.product(*zip(low, high, strict=True)))))
    behind = np.linalg.inv(matrix) @ np.vstack([corners.T, np.ones(len(corners))])
    index = grid.to_index(behind[:3].T)[:, ::-1]
    first = np.maximum(np.floor(index.min(0)), 0).astype(int)
    last = np.minimum(np.ceil(index.max(0)) + 1, grid.shape).astype(int)
    if (first >= last).any():
        return None
    d, h, w = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return d, h, w


def stored(share: Tensor) -> Tensor:
    """Shares 0 to 1 as uint8, in place."""
    return share.mul_(_ONE).round_().to(torch.uint8)
