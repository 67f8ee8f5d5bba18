"""A scan as the registration sees it: intensities in [0, 1], what is foreground, and what may be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.fields import shrink_image
from JointRegSegLib.volumes.grid import Grid

_LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Scan:
    """Tensors (1, 1, D, H, W) on one grid.

    Attributes:
        image: intensities, about 0 to 1.
        foreground: 1 inside the body, 0 in air and padding.
        weight: 0 where the user's mask forbids comparing, or None where everything counts.
        grid: where the voxels lie.
        cut: whether the body reaches the edge, so that nothing is known of what lies beyond.
    """

    image: Tensor
    foreground: Tensor
    weight: Tensor | None
    grid: Grid
    cut: bool

    def at_spacing(self, mm: float) -> Scan:
        """The scan on voxels of about `mm` along every axis; axes that are coarser already stay."""
        return self.resized(coarser_shape(self.grid, mm))

    def resized(self, shape: tuple[int, int, int]) -> Scan:
        """The scan on `shape` voxels, smoothed before it is shrunk."""
        grid = self.grid.resized((shape[2], shape[1], shape[0]))
        image, weight = shrink_weighted(self.image, self.weight, shape)
        return Scan(image, shrink_image(self.foreground, shape), weight, grid, self.cut)

    def centre_and_spread(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Centre of the foreground and its standard deviation along x, y, z, both in LPS mm, shape (3,)."""
        inside = np.argwhere(self.foreground[0, 0].cpu().numpy() > 0.5)
        if len(inside) == 0:
            return self.grid.centre, np.asarray(self.grid.extent) / np.sqrt(12.0)
        points = self.grid.to_lps(inside[:, ::-1])
        return points.mean(0), np.maximum(points.std(0), np.asarray(self.grid.spacing))


def coarser_shape(grid: Grid, mm: float) -> tuple[int, int, int]:
    """Shape (D, H, W) of about `mm` spacing on this grid, never finer than the grid and never under 4 voxels."""
    sizes = [
        min(n, max(4, round(extent / mm))) if mm > spacing else n
        for n, extent, spacing in zip(grid.size, grid.extent, grid.spacing, strict=True)
    ]
    return sizes[2], sizes[1], sizes[0]


def shrink_weighted(image: Tensor, weight: Tensor | None, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor | None]:
    """An image and its weight on fewer voxels; what has no weight does not bleed into what has."""
    if weight is None:
        return shrink_image(image, shape), None
    share = shrink_image(weight, shape)
    return shrink_image(image * weight, shape) / share.clamp(min=_LEAST_SHARE), share
