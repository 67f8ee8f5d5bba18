"""Target and atlas on the working grid."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from JointRegSegLib.fields import Shape
from JointRegSegLib.volumes.grid import Grid

from .landmarks import Landmarks
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
        landmarks: points to bring together, or None.
    """

    fixed: Tensor
    moving: Tensor
    fixed_weight: Tensor | None
    moving_weight: Tensor | None
    grid: Grid
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None
    landmarks: Landmarks | None = None

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
            None if self.landmarks is None else self.landmarks.swapped(),
        )

    def to(self, device: torch.device) -> Pair:
        """The pair in the memory of a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {name: value.to(device) for name, value in tensors.items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    def at(self, shape: Shape) -> Pair:
        """The pair on fewer voxels."""
        fixed, fixed_weight = shrink_weighted(self.fixed, self.fixed_weight, shape)
        moving, moving_weight = shrink_weighted(self.moving, self.moving_weight, shape)
        grid = self.grid.resized((shape[2], shape[1], shape[0]))
        fixed_labels, moving_labels = (
            None if side is None else _shrunk(side, shape) for side in (self.fixed_labels, self.moving_labels)
        )
        landmarks = None if self.landmarks is None else self.landmarks.at(shape)
        return Pair(fixed, moving, fixed_weight, moving_weight, grid, fixed_labels, moving_labels, landmarks)


def _shrunk(labels: Tensor, shape: Shape) -> Tensor:
    """Shares (1, C, D, H, W) uint8 on fewer voxels, one after the other."""
    return torch.cat([shrink(share.float(), shape).round_().to(labels.dtype) for share in labels.split(1, 1)], 1)
