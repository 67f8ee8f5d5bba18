"""A scan and a label map: an array together with the grid it lies on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .labels import LabelTable


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar image: `array` (k, j, i) on `grid`; float32, or bool for a mask. `ValueError` where shapes differ."""

    array: NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        _check_shape(self.array, self.grid)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Labelled voxels: `array` (k, j, i) of integers on `grid`, 0 = background, and what the values mean.

    `table` names at least every value that the array holds. `ValueError` where array and grid differ in shape.
    """

    array: NDArray[Any]
    grid: Grid
    table: LabelTable

    def __post_init__(self) -> None:
        _check_shape(self.array, self.grid)


def present_values(array: NDArray[Any]) -> list[int]:
    """The values above 0 in an array of non-negative integers, ascending."""
    counts = np.bincount(array.ravel())
    return [int(value) for value in np.flatnonzero(counts) if value > 0]


def _check_shape(array: NDArray[Any], grid: Grid) -> None:
    if array.shape != grid.shape:
        raise ValueError(f"array of shape {array.shape} on a grid of shape {grid.shape}")
