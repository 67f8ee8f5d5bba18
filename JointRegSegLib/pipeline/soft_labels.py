"""Label maps as the shares of structures that pull in the registration: (1, C, D, H, W) uint8 in 1/255."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..fields import Box, Matrix, affine_positions, coarsened, sample
from ..volumes import Grid, LabelMap, box_around, widened

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
    places = ndimage.find_objects(labels.array.astype(np.int32))
    factors = zip(reversed(grid.spacing), reversed(labels.grid.spacing), strict=True)
    reach = [math.ceil(_BLURRED * max(new / old, 1.0)) for new, old in factors]
    for channel, values in enumerate(groups):
        boxes = [box for value in values if 0 < value <= len(places) and (box := places[value - 1]) is not None]
        if not boxes:
            continue
        held = widened(box_around(boxes), reach, labels.grid.shape)
        seen = _seen(labels.grid.part(held), grid, matrix)
        if seen is None:
            continue
        share = torch.from_numpy(np.isin(labels.array[held], values).astype(np.float32))[None, None].to(like)
        share = coarsened(share, labels.grid.spacing, grid.spacing)
        points = affine_positions(grid.part(seen), labels.grid.part(held), matrix, like)
        found[(0, channel, *seen)] = stored(sample(share, points, padding="zeros"))[0, 0]
    return found


def _seen(held: Grid, grid: Grid, matrix: Matrix) -> Box | None:
    """The voxels (d, h, w) of a grid that may see another one; None where it sees nothing."""
    corners = held.to_lps(np.array(list(itertools.product(*((-1.0, float(n)) for n in held.size)))))
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
