"""Other axis orders of the same volume: transposed and flipped views, with the grid that keeps every voxel in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import TypeVar

import numpy as np

from .grid import Grid
from .volume import LabelMap, Volume

Placed = TypeVar("Placed", Volume, LabelMap)


def reorient(item: Placed, axes: Sequence[int], flips: Sequence[bool]) -> Placed:
    """The same voxels at the same places with other index axes; the array is a view.

    Args:
        item: a volume or label map.
        axes: for each new index axis (i, j, k) the old one it runs along.
        flips: for each new index axis, whether it runs the other way.
    """
    old = item.grid
    start = [0, 0, 0]
    for axis, flip in zip(axes, flips, strict=True):
        start[axis] = old.size[axis] - 1 if flip else 0
    signs = np.where(flips, -1.0, 1.0)
    direction = np.reshape(old.direction, (3, 3))[:, list(axes)] * signs + 0.0  # no -0.0 in headers
    a, b, c = axes
    grid = Grid(
        (old.size[a], old.size[b], old.size[c]),
        (old.spacing[a], old.spacing[b], old.spacing[c]),
        old.box((start[0], start[1], start[2]), old.size).origin,
        tuple(float(value) for value in direction.ravel()),
    )
    view = item.array.transpose([2 - axis for axis in reversed(axes)])
    view = view[tuple(slice(None, None, -1 if flip else 1) for flip in reversed(flips))]
    return replace(item, array=view, grid=grid)


def canonical(item: Placed) -> Placed:
    """The volume with its index axes i, j, k running as nearly as they can towards left, posterior, superior."""
    direction = np.reshape(item.grid.direction, (3, 3))
    axes = max(permutations(range(3)), key=lambda order: sum(abs(direction[row, a]) for row, a in enumerate(order)))
    return reorient(item, axes, [bool(direction[row, a] < 0) for row, a in enumerate(axes)])
