"""What pulls an atlas's labels onto a soft segmentation of the target, beside what pulls the images.

Soft labels are shares of structures, (1, C, D, H, W) uint8 in 1/255, background left out: small enough for many
structures at full resolution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from JointRegSegLib.fields import Box, central_difference, landings, sample, shape_of
from JointRegSegLib.job import Similarity
from JointRegSegLib.volumes import widened

from .descent import capped
from .pair import Pair
from .similarity import Pull, pull_of

_ONE = 255.0
_MARGIN = (4, 4, 4)
_FEW_VOXELS = 16_000
_LEAST = 10
"""Of 255. A network's shares below it lie everywhere; boxes that held them would hold the whole volume."""
_SLOPE = (2, 2, 2)
"""Voxels around a structure: one where its share is zero and its slope is not, and its neighbour, for that slope."""


def pull_between(pair: Pair, similarity: Similarity, windows: Sequence[int]) -> Pull:
    """What pulls the pair's images together, and its soft labels where both have some."""
    images = pull_of(similarity, pair.fixed, pair.moving, windows)
    if pair.fixed_labels is None or pair.moving_labels is None:
        return images
    return Together(images, LabelOverlap(pair.fixed_labels, pair.moving_labels), pair.labels_weight)


class Together:
    """Images and labels at once.

    The images' force is taken in units of its 99th percentile; the labels' has a unit of its own, a share of 1 for
    each voxel, times their weight, and vanishes where labels agree, so that images decide the rest.
    """

    def __init__(self, images: Pull, labels: Pull, weight: float) -> None:
        self._images, self._labels, self._weight = images, labels, weight

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        images = capped(self._images.force(positions, weight))
        return images.add_(self._labels.force(positions, weight), alpha=self._weight)


class LabelOverlap:
    """Downhill of the squared difference of soft labels, summed over the structures, until they overlap entirely.

    Each voxel counts as much as both sides are sure of it: from 0 where all classes are equally likely to 1. A
    structure pulls where the box that holds the moving one may have come to lie, which is little of a volume; shares
    under 4 % are not looked for. On few voxels all structures are compared at once, everywhere: there a box saves less
    than its handling costs.
    """

    def __init__(self, fixed: Tensor, moving: Tensor) -> None:
        self._fixed, self._moving = fixed, moving
        self._sure_fixed, self._sure_moving = _sureness(fixed), _sureness(moving)
        self._parts = list(_parts(moving))

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        total, counted = torch.zeros_like(positions), self._counted(positions, weight)
        landed = landings(positions, [part.box for part in self._parts], shape_of(self._moving))
        for part, inner in zip(self._parts, landed, strict=True):
            if inner is not None:
                box = widened(inner, _SLOPE, shape_of(positions))
                rest, warped = self._compared(part, box, positions)
                rest.mul_(counted[(..., *box)]).mul_(2.0)
                for axis in range(3):
                    slope = central_difference(warped[0], axis + 1)
                    total[(0, axis, *box)] += slope.mul_(rest[0]).sum(0)
        return total

    def _compared(self, part: _Part, box: Box, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of a part's structures in a box: fixed minus warped, and warped."""
        fixed = _float(self._fixed[(slice(None), part.channels, *box)], positions)
        held = widened(part.box, _MARGIN, shape_of(self._moving))
        corner = positions.new_tensor([side.start for side in held]).view(1, 3, 1, 1, 1)
        moving = _float(self._moving[(slice(None), part.channels, *held)], positions)
        warped = sample(moving, positions[(..., *box)] - corner)
        return fixed.sub_(warped), warped

    def _counted(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        counted = sample(self._sure_moving, positions).mul_(self._sure_fixed)
        return counted if weight is None else counted.mul_(weight)


@dataclass(frozen=True)
class _Part:
    """Structures that are compared together, and the box that holds the moving ones."""

    channels: slice
    box: Box


def _parts(moving: Tensor) -> Iterator[_Part]:
    if math.prod(shape_of(moving)) <= _FEW_VOXELS:
        d, h, w = (slice(0, n) for n in shape_of(moving))
        yield _Part(slice(None), (d, h, w))
        return
    for channel in range(moving.shape[1]):
        box = _box(moving[0, channel])
        if box is not None:
            yield _Part(slice(channel, channel + 1), box)


def _sureness(shares: Tensor) -> Tensor:
    """How far each voxel is from all K classes being equally likely, from 0 to 1 for certainty, (1, 1, D, H, W)."""
    background = torch.full_like(shares[:, :1], _ONE, dtype=torch.float32)
    for share in shares.split(1, 1):  # a sum over all at once would make them all floats
        background -= share
    largest = torch.maximum(background, shares.amax(1, keepdim=True).float()).div_(_ONE)
    classes = shares.shape[1] + 1
    return largest.sub_(1 / classes).div_(1 - 1 / classes).clamp_(0, 1)


def _box(shares: Tensor) -> Box | None:
    """The box of all voxels (D, H, W) with a share of at least 4 %; None where there is none."""
    sides = []
    for axis in range(shares.dim()):
        filled = (shares >= _LEAST).movedim(axis, 0).flatten(1).any(1).nonzero()
        if not len(filled):
            return None
        sides.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return sides[0], sides[1], sides[2]


def _float(shares: Tensor, like: Tensor) -> Tensor:
    return shares.to(like.dtype).div_(_ONE)
