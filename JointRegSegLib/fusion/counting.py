"""Votes, counted: one label map and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..fields import Box, gaussian
from ..volumes import boxes_of_labels, widened
from .opinion import Opinion
from .stack import Stack, slabs

BLUR = 0.7
"""Standard deviation of the votes' blur, in voxels of the finest axis."""
TRUST = 0.3
"""Exponent of the likelihood of a voxel's intensity; 1 would take the voxels' intensities for independent."""

_REACH = 3
"""Voxels of the finest axis that the blur reaches."""
_BINS, _BIN_BLUR, _LEAST = 64, 2.0, 1e-4
_DARKEST, _BRIGHTEST = -0.1, 1.2


@dataclass(frozen=True)
class Consensus:
    """What several voters agree on.

    Attributes:
        labels: the label with the largest share of the votes, (D, H, W) uint16; of equal ones the smallest value.
        confidence: its share, (D, H, W) float32, 0 to 1.
    """

    labels: NDArray[np.uint16]
    confidence: NDArray[np.float32]


def consensus(
    stack: Stack,
    weights: NDArray[np.float16] | None = None,
    opinion: Opinion | None = None,
    blur: float = 0.0,
    trust: float = 0.0,
) -> Consensus:
    """Count the votes of the atlases, and of a network where there is one.

    A label's share at x is `p(l) = sum_i w_i(x) [L_i(x) = l]`, blurred over its neighbourhood, which is what warped
    labels are unsure of by themselves. With `trust` t it becomes `p(l) h_l(I(x))^t`, scaled to a sum of 1: h_l is the
    histogram of the target's intensities over p(l), as in expectation maximisation from an atlas (Ledig et al., Med
    Image Anal 2015), once and without a shape for it.

    Args:
        weights: of the atlases, (L, D, H, W) with a sum of 1 over them; equal ones where None.
        opinion: of a network, whose weight is counted in all atlases together.
        blur: standard deviation in voxels of the finest axis.
        trust: 0 leaves the intensities out.
    """
    count = _Count(stack, weights, opinion, blur)
    levels = _levels(stack.target) if trust else None
    likely = None if levels is None else {v: h**trust for v, h in _histograms(count, levels).items()}
    labels, confidence = np.empty(stack.shape, np.uint16), np.empty(stack.shape, np.float32)
    for slab in slabs(stack.shape, count.reach):
        best, total = (torch.zeros(stack.target[slab.outer].shape) for _ in range(2))
        winner = np.zeros(best.shape, np.uint16)
        for value, box, share in count.shares(slab.outer):
            if likely is not None and levels is not None:
                share = share * torch.from_numpy(likely[value][levels[slab.outer][box]])
            total[box] += share
            better = share > best[box]
            winner[box][better.numpy()] = value
            best[box] = torch.maximum(best[box], share)
        labels[slab.inner] = winner[slab.kept]
        confidence[slab.inner] = (best / total.clamp_(min=1e-12))[slab.kept].clamp_(0, 1).numpy()
    return Consensus(labels, confidence)


@dataclass(frozen=True)
class _Count:
    """The shares of all labels, label by label and each in a box around it, so that few of them are held at once."""

    stack: Stack
    weights: NDArray[np.float16] | None
    opinion: Opinion | None
    blur: float

    @property
    def reach(self) -> int:
        """Slices that a slab's shares depend on beyond it."""
        return max(self._margins) if self.blur else 0

    @property
    def _margins(self) -> tuple[int, ...]:
        return tuple(int(np.ceil(n)) for n in self.stack.in_units_of_the_finest(_REACH)) if self.blur else (0, 0, 0)

    def shares(self, part: slice) -> Iterator[tuple[int, Box, Tensor]]:
        """Label value, box within the slices `part`, and the share (d, h, w) there; background first, then by value."""
        labels = self.stack.labels[:, part]
        weights = None if self.weights is None else torch.from_numpy(self.weights[:, part].astype(np.float32))
        sigma = self.stack.in_units_of_the_finest(self.blur)
        for value, box in self._boxes(part):
            inside = (slice(None), *box)
            votes = torch.from_numpy(labels[inside] == value)
            share = votes.sum(0) / len(votes) if weights is None else (votes * weights[inside]).sum(0)
            if self.opinion is not None:
                share = self.opinion.joined(share, value, part, box)
            if self.blur:
                share = gaussian(share[None, None], sigma)[0, 0]
            yield value, box, share.clamp_(min=0)

    def _boxes(self, part: slice) -> Iterator[tuple[int, Box]]:
        maps = [*self.stack.labels[:, part], *([] if self.opinion is None else [self.opinion.winners(part)])]
        shape = maps[0].shape
        yield 0, (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        for value, box in boxes_of_labels(maps):
            yield value, widened(box, self._margins, shape)


def _levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    scaled = (np.clip(image, _DARKEST, _BRIGHTEST) - _DARKEST) * ((_BINS - 1) / (_BRIGHTEST - _DARKEST))
    return np.rint(scaled).astype(np.uint8)


def _histograms(count: _Count, levels: NDArray[np.uint8]) -> dict[int, NDArray[np.float32]]:
    """Of each label the blurred histogram (bins,) of the target's intensities, each voxel counted by the share."""
    sums: dict[int, NDArray[np.float64]] = {}
    for slab in slabs(count.stack.shape, count.reach):
        for value, box, share in count.shares(slab.outer):
            first = max(box[0].start, slab.kept.start)
            last = min(box[0].stop, slab.kept.stop)
            if last <= first:
                continue
            part = (slice(first, last), box[1], box[2])
            weight = share[first - box[0].start : last - box[0].start].numpy()
            seen = np.bincount(levels[slab.outer][part].ravel(), weight.ravel(), _BINS)
            sums[value] = sums.get(value, np.zeros(_BINS)) + seen
    found = {}
    for value in sums:
        smooth = ndimage.gaussian_filter1d(sums[value], _BIN_BLUR, mode="nearest")
        found[value] = (smooth / max(smooth.sum(), 1e-9) + _LEAST).astype(np.float32)
    return found
