"""What pulls an atlas's labels onto a soft segmentation of the target, beside what pulls the images.

Soft labels are shares of structures, (1, C, D, H, W) uint8 in 1/255, background left out: small enough for many
structures at full resolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from JointRegSegLib.fields import Box, identity, sample, shape_of
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
    structure is compared in the box that holds it on both sides; it pulls where the moving one may have come to lie,
    which is little of a volume where a fixed one is thinly spread over all of it.
    """

    def __init__(self, fixed: Tensor, moving: Tensor) -> None:
        self._fixed, self._moving = fixed, moving
        self._sure_fixed, self._sure_moving = _sureness(fixed), _sureness(moving)
        self._boxes = [_box(moving[0, c]) for c in range(moving.shape[1])]
        self._either = [_around(_box(fixed[0, c]), box, moving) for c, box in enumerate(self._boxes)]

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        total, counted = torch.zeros_like(positions), self._counted(positions, weight)
        reach = _reach(positions)
        for channel, own in enumerate(self._boxes):
            if own is not None:
                box = _wider(own, reach, self._moving)
                rest, warped = self._compared(channel, box, positions)
                total[(..., *box)] += image_gradient(warped).mul_(rest.mul_(counted[(..., *box)]).mul_(2.0))
        return total

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        counted, total = self._counted(positions, weight), 0.0
        for channel, box in enumerate(self._either):
            if box is not None:
                rest, _ = self._compared(channel, box, positions)
                total += float((rest.square() * counted[(..., *box)]).sum())
        return -total / max(float(counted.sum()), 1e-6)

    def _compared(self, channel: int, box: Box, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of a structure in a box: fixed minus warped, and warped."""
        fixed = _float(self._fixed[(slice(None), slice(channel, channel + 1), *box)], positions)
        own = self._boxes[channel]
        if own is None:
            return fixed, torch.zeros_like(fixed)
        held = _wider(own, (_MARGIN,) * 3, self._moving)
        corner = positions.new_tensor([side.start for side in held]).view(1, 3, 1, 1, 1)
        moving = _float(self._moving[(slice(None), slice(channel, channel + 1), *held)], positions)
        warped = sample(moving, positions[(..., *box)] - corner)
        return fixed.sub_(warped), warped

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


def _box(shares: Tensor) -> Box | None:
    """The box of all voxels (D, H, W) with a share; None where there is none."""
    sides = []
    for axis in range(shares.dim()):
        filled = (shares > 0).movedim(axis, 0).flatten(1).any(1).nonzero()
        if not len(filled):
            return None
        sides.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return sides[0], sides[1], sides[2]


def _wider(box: Box, by: Sequence[int], like: Tensor) -> Box:
    """The box with so many voxels more on both sides of each axis, where the grid has them."""
    sides = zip(box, by, like.shape[2:], strict=True)
    d, h, w = (slice(max(side.start - more, 0), min(side.stop + more, n)) for side, more, n in sides)
    return d, h, w


def _around(one: Box | None, other: Box | None, like: Tensor) -> Box | None:
    """The box that holds both, with a margin; None where there is neither."""
    known = [box for box in (one, other) if box is not None]
    if not known:
        return None
    d, h, w = (slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*known, strict=True))
    return _wider((d, h, w), (_MARGIN,) * 3, like)


def _reach(positions: Tensor) -> tuple[int, int, int]:
    """Voxels of each axis beyond a moving structure's box where its force may be other than 0.

    That is the longest displacement, and one voxel each for interpolation and for the gradient.
    """
    longest = (positions - identity(shape_of(positions), positions)).abs().amax((0, 2, 3, 4))
    d, h, w = (math.ceil(float(length)) + 2 for length in longest)
    return d, h, w


def _float(shares: Tensor, like: Tensor) -> Tensor:
    return shares.to(like.dtype).div_(_ONE)
