"""Target and atlas on the working grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from JointRegSegLib.fields import Shape
from JointRegSegLib.volumes.grid import Grid

from .scan import shrink, shrink_weighted


@dataclass(frozen=True)
class Pair:
    """Two images on one working grid, the moving one already aligned by the affine.

    Attributes:
        fixed, moving: (1, 1, D, H, W), intensities about 0 to 1.
        fixed_weight, moving_weight: 0 where a voxel must not count, or None where all do; same shape.
        grid: the working grid.
        fixed_labels, moving_labels: shares of the same structures on both sides, (1, C, D, H, W) uint8 in 1/255,
            background left out; None where the images alone decide.
    """

    fixed: Tensor
    moving: Tensor
    fixed_weight: Tensor | None
    moving_weight: Tensor | None
    grid: Grid
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None

    def swapped(self) -> Pair:
        """The pair with fixed and moving exchanged."""
        return Pair(
            self.moving,
            self.fixed,
            self.moving_weight,
            self.fixed_weight,
            self.grid,
            self.moving_labels,
            self.fixed_labels,
        )

    def to(self, device: torch.device) -> Pair:
        """The pair in the memory of a device."""
        weights = [None if w is None else w.to(device) for w in (self.fixed_weight, self.moving_weight)]
        labels = [None if side is None else side.to(device) for side in (self.fixed_labels, self.moving_labels)]
        return Pair(self.fixed.to(device), self.moving.to(device), weights[0], weights[1], self.grid, *labels)

    def at(self, shape: Shape) -> Pair:
        """The pair on fewer voxels."""
        fixed, fixed_weight = shrink_weighted(self.fixed, self.fixed_weight, shape)
        moving, moving_weight = shrink_weighted(self.moving, self.moving_weight, shape)
        grid = self.grid.resized((shape[2], shape[1], shape[0]))
        labels = [None if side is None else _shrunk(side, shape) for side in (self.fixed_labels, self.moving_labels)]
        return Pair(fixed, moving, fixed_weight, moving_weight, grid, *labels)


def _shrunk(labels: Tensor, shape: Shape) -> Tensor:
    """Shares (1, C, D, H, W) uint8 on fewer voxels, one after the other."""
    return torch.cat([shrink(share.float(), shape).round_().to(labels.dtype) for share in labels.split(1, 1)], 1)
