"""What pulls an atlas's labels onto a soft segmentation of the target, beside what pulls the images.

Soft labels are shares of structures, (1, C, D, H, W) uint8 in 1/255, background left out: small enough for many
structures at full resolution.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from JointRegSegLib.fields import Box, sample
from JointRegSegLib.job import Similarity
from JointRegSegLib.losses import image_gradient

from .descent import capped
from .pair import Pair
from .similarity import Pull, pull_of

_ONE = 255.0
_MARGIN = 4


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

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        return self._images.value(positions, weight) + self._weight * self._labels.value(positions, weight)


class LabelOverlap:
    """Minus the squared difference of soft labels, summed over the structures: largest where they overlap entirely.

    Each voxel counts as much as both sides are sure of it: from 0 where all classes are equally likely to 1. A
    structure is looked for in the box that holds it on both sides.
    """

    def __init__(self, fixed: Tensor, moving: Tensor) -> None:
        self._fixed, self._moving = fixed, moving
        self._sure_fixed, self._sure_moving = _sureness(fixed), _sureness(moving)
        boxes = (_box(fixed[0, c], moving[0, c]) for c in range(fixed.shape[1]))
        self._boxes = [(channel, box) for channel, box in enumerate(boxes) if box is not None]

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        total = torch.zeros_like(positions)
        for box, rest, warped, counted in self._structures(positions, weight):
            total[(..., *box)] += image_gradient(warped).mul_(rest.mul_(counted).mul_(2.0))
        return total

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        parts = (float((rest.square() * counted).sum()) for _, rest, _, counted in self._structures(positions, weight))
        return -sum(parts) / max(float(self._counted(positions, weight).sum()), 1e-6)

    def _structures(self, positions: Tensor, weight: Tensor | None) -> Iterator[tuple[Box, Tensor, Tensor, Tensor]]:
        """Of each structure its box, and there: fixed minus warped, warped, how much voxels count."""
        counted = self._counted(positions, weight)
        for channel, box in self._boxes:
            corner = positions.new_tensor([side.start for side in box]).view(1, 3, 1, 1, 1)
            moving = _float(self._moving[(slice(None), slice(channel, channel + 1), *box)], positions)
            fixed = _float(self._fixed[(slice(None), slice(channel, channel + 1), *box)], positions)
            warped = sample(moving, positions[(..., *box)] - corner)
            yield box, fixed.sub_(warped), warped, counted[(..., *box)]

    def _counted(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        counted = sample(self._sure_moving, positions).mul_(self._sure_fixed)
        return counted if weight is None else counted.mul_(weight)


def _sureness(shares: Tensor) -> Tensor:
    """How far each voxel is from all K classes being equally likely, from 0 to 1 for certainty, (1, 1, D, H, W)."""
    background = torch.full_like(shares[:, :1], _ONE, dtype=torch.float32)
    for share in shares.split(1, 1):  # a sum over all at once would make them all floats
        background -= share
    largest = torch.maximum(background, shares.amax(1, keepdim=True).float()).div_(_ONE)
    classes = shares.shape[1] + 1
    return largest.sub_(1 / classes).div_(1 - 1 / classes).clamp_(0, 1)


def _box(fixed: Tensor, moving: Tensor) -> Box | None:
    """The box of all voxels (D, H, W) where either has a share, with a margin; None where there is none."""
    there = (fixed > 0) | (moving > 0)
    sides = []
    for axis, n in enumerate(there.shape):
        filled = there.movedim(axis, 0).flatten(1).any(1).nonzero()
        if not len(filled):
            return None
        sides.append(slice(max(int(filled[0]) - _MARGIN, 0), min(int(filled[-1]) + 1 + _MARGIN, n)))
    return sides[0], sides[1], sides[2]


def _float(shares: Tensor, like: Tensor) -> Tensor:
    return shares.to(like.dtype).div_(_ONE)
