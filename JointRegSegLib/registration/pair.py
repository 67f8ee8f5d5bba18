"""Target and atlas on the working grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from JointRegSegLib.fields import Shape, along_axes, shape_of, shrinking
from JointRegSegLib.volumes.grid import Grid

from .landmarks import Landmarks
from .scan import shrink_weighted


@dataclass(frozen=True)
class Pair:
    """Two images on one working grid, the moving one already aligned by the affine.

    Attributes:
        fixed, moving: (1, 1, D, H, W), intensities about 0 to 1.
        fixed_weight, moving_weight: 0 where a voxel must not count, or None where all do; same shape.
        grid: the working grid.
        fixed_labels, moving_labels: shares of the same structures on both sides, (1, C, D, H, W) uint8 in 1/255,
            background left out; None where the images alone decide.
        labels_weight: how much a voxel whose labels disagree pulls, in units of the images' strongest pull.
        landmarks: points to bring together, or None.
    """

    fixed: Tensor
    moving: Tensor
    fixed_weight: Tensor | None
    moving_weight: Tensor | None
    grid: Grid
    fixed_labels: Tensor | None = None
    moving_labels: Tensor | None = None
    labels_weight: float = 1.0
    landmarks: Landmarks | None = None

    def swapped(self) -> Pair:
        """The pair with fixed and moving exchanged."""
        return replace(
            self,
            fixed=self.moving,
            moving=self.fixed,
            fixed_weight=self.moving_weight,
            moving_weight=self.fixed_weight,
            fixed_labels=self.moving_labels,
            moving_labels=self.fixed_labels,
            landmarks=None if self.landmarks is None else self.landmarks.swapped(),
        )

    def to(self, device: torch.device) -> Pair:
        """The pair in the memory of a device."""
        tensors = (self.fixed_weight, self.moving_weight, self.fixed_labels, self.moving_labels)
        fixed_weight, moving_weight, fixed_labels, moving_labels = (
            None if one is None else one.to(device) for one in tensors
        )
        return replace(
            self,
            fixed=self.fixed.to(device),
            moving=self.moving.to(device),
            fixed_weight=fixed_weight,
            moving_weight=moving_weight,
            fixed_labels=fixed_labels,
            moving_labels=moving_labels,
        )

    def at(self, shape: Shape) -> Pair:
        """The pair on fewer voxels."""
        fixed, fixed_weight = shrink_weighted(self.fixed, self.fixed_weight, shape)
        moving, moving_weight = shrink_weighted(self.moving, self.moving_weight, shape)
        grid = self.grid.resized((shape[2], shape[1], shape[0]))
        fixed_labels, moving_labels = (
            None if side is None else _shrunk(side, shape) for side in (self.fixed_labels, self.moving_labels)
        )
        landmarks = None if self.landmarks is None else self.landmarks.at(shape)
        return Pair(
            fixed, moving, fixed_weight, moving_weight, grid, fixed_labels, moving_labels, self.labels_weight, landmarks
        )


def _shrunk(labels: Tensor, shape: Shape) -> Tensor:
    """Shares (1, C, D, H, W) uint8 on fewer voxels, one after the other."""
    matrices = shrinking(shape_of(labels), shape, labels.new_empty(0, dtype=torch.float32))
    each = (along_axes(share.float(), matrices) for share in labels.split(1, 1))
    return torch.cat([share.round_().to(labels.dtype) for share in each], 1)
