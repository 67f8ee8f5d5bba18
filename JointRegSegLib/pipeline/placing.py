"""A run computes on canonical axis orders; its files have the users'. From one order to the other, and slab by slab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..volumes import Grid

_SLAB_VOXELS = 1_000_000
_SLAB_NUMBERS = 16_000_000
_EVEN = 8  # slices; slabs of an even depth are shared fairly by the threads


def placed(array: NDArray[Any], grid: Grid, own: Grid) -> NDArray[Any]:
    """An array (k, j, i) or (k, j, i, 3) on `grid` in the axis order of `own`, the same lattice counted otherwise.

    `ValueError` where the grids are not one lattice.
    """
    turn = np.rint(np.reshape(own.direction, (3, 3)).T @ np.reshape(grid.direction, (3, 3)))
    axes = [int(axis) for axis in np.abs(turn).argmax(1)]
    view = array.transpose([2 - axis for axis in reversed(axes)] + [3] * (array.ndim - 3))
    view = view[tuple(slice(None, None, -1 if turn[new, axes[new]] < 0 else 1) for new in (2, 1, 0))]
    if view.shape[:3] != own.shape:
        raise ValueError(f"array of shape {view.shape} for a grid of shape {own.shape}")
    return np.ascontiguousarray(view)


def slabs(grid: Grid, voxels: int = _SLAB_VOXELS) -> Iterator[tuple[slice, Grid]]:
    """The grid in slabs along its first array axis: which slices, and the part of the lattice that they are.

    A slab has about `voxels` voxels, at least 8 slices.
    """
    i, j, k = grid.size
    depth = max(voxels // (i * j) // _EVEN, 1) * _EVEN
    for start in range(0, k, depth):
        stop = min(start + depth, k)
        yield slice(start, stop), grid.box((0, 0, start), (i, j, stop - start))


def class_slabs(grid: Grid, classes: int) -> Iterator[tuple[slice, Grid]]:
    """`slabs` for a number for each class in each voxel."""
    return slabs(grid, _SLAB_NUMBERS // classes)
