"""The common grid and intensity scale that a model is trained on, and that it needs again when it is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.fields import coarsened
from JointRegSegLib.volumes import Grid, LabelMap, Volume, canonical, resample_labels_to, resample_volume_to

_PERCENTILES = (0.1, 99.9)


@dataclass(frozen=True)
class Frame:
    """A grid in canonical axis order that is laid around the middle of each scan.

    Attributes:
        size: voxels towards left, posterior, superior; the tensors have the reversed shape (D, H, W).
        spacing: mm between voxel centres along the same axes.
        intensity: "minmax" (percentiles 0.1 and 99.9 become 0 and 1) or "zscore" (mean 0, deviation 1).
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    intensity: str

    @classmethod
    def of(
        cls, grids: Iterable[Grid], intensity: str, size: tuple[int, ...] = (), spacing: tuple[float, ...] = ()
    ) -> Frame:
        """The frame of this size and spacing; where empty, of the grids' median spacing, large enough for all."""
        every = list(grids)
        mm = np.asarray(spacing or np.median([grid.spacing for grid in every], 0), float)
        voxels = np.asarray(size or np.ceil(np.max([grid.extent for grid in every], 0) / mm - 1e-3), int)
        i, j, k = voxels.tolist()
        x, y, z = mm.tolist()
        return cls((i, j, k), (x, y, z), intensity)

    def around(self, grid: Grid) -> Grid:
        """The frame's grid with the middle and the directions of `grid`, which is in canonical axis order."""
        axes = np.reshape(grid.direction, (3, 3))
        x, y, z = (grid.centre - axes @ (np.asarray(self.spacing) * (np.asarray(self.size) - 1) / 2)).tolist()
        return Grid(self.size, self.spacing, (x, y, z), grid.direction)

    def image(self, volume: Volume) -> tuple[Tensor, Grid]:
        """A scan in the frame, (1, 1, D, H, W) float32, and where its voxels lie. Beyond the scan is its darkest."""
        volume = canonical(volume)
        volume = Volume(scaled(volume.array, self.intensity), volume.grid)
        grid = self.around(volume.grid)
        if not grid.same_as(volume.grid):
            volume = resample_volume_to(self._smoothed(volume), grid, float(volume.array.min()))
        return torch.from_numpy(np.ascontiguousarray(volume.array, np.float32))[None, None], grid

    def labels(self, labels: LabelMap, grid: Grid) -> NDArray[Any]:
        """A label map on the grid that `image` gave for its scan, (k, j, i)."""
        labels = canonical(labels)
        return labels.array if grid.same_as(labels.grid) else resample_labels_to(labels, grid).array

    def _smoothed(self, volume: Volume) -> Volume:
        """Without what the frame's wider spacing could not hold."""
        image = torch.from_numpy(np.ascontiguousarray(volume.array))[None, None]
        return Volume(coarsened(image, volume.grid.spacing, self.spacing)[0, 0].numpy(), volume.grid)


def scaled(array: NDArray[Any], intensity: str) -> NDArray[np.float32]:
    """Intensities on the scale named "minmax" or "zscore", of the whole scan; `ValueError` for another name."""
    if intensity == "zscore":
        low, width = float(array.mean(dtype=np.float64)), float(array.std(dtype=np.float64))
    elif intensity == "minmax":
        low, high = (float(value) for value in np.percentile(array, _PERCENTILES))
        if high <= low:
            low, high = float(array.min()), float(array.max())
        array, width = np.clip(array, low, high), high - low
    else:
        raise ValueError(f"unknown intensity scale {intensity}")
    return ((array - np.float32(low)) / np.float32(width)).astype(np.float32)
