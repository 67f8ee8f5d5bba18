"""Which similarity fits a pair of aligned images."""

from __future__ import annotations

import torch
from torch import Tensor

from JointRegSegLib.fields import resize_image
from JointRegSegLib.job import Similarity

from .pair import Pair
from .scan import coarser_shape

_COARSER = 3.0
_BINS = 32
_BACKGROUND = 0.05
_LINEAR_SHARE = 0.65


def choose_similarity(pair: Pair, partial: bool) -> tuple[Similarity, str]:
    """The similarity for a pair of affinely aligned images, and why, in a sentence.

    Where a straight line explains nearly as much of one image by the other as any function of intensity does, the
    contrasts are alike (or inverted) and local correlation is the sharper measure. Else mutual information is, unless
    organs may still lie far apart: its joint histogram then mixes what does not belong together, and self-similarity,
    which looks at each place alone, goes further.

    Args:
        pair: the images, on a grid as fine as they will be registered.
        partial: whether a scan shows only part of a long body (`Alignment.partial`).
    """
    shape = coarser_shape(pair.grid, _COARSER * min(pair.grid.spacing))
    images = [resize_image(image, shape).flatten() for image in (pair.fixed, pair.moving)]
    body = torch.ones_like(images[0], dtype=torch.bool)
    for image, weight in zip(images, (pair.fixed_weight, pair.moving_weight), strict=True):
        body &= image > image.min() + _BACKGROUND
        if weight is not None:
            body &= resize_image(weight, shape).flatten() > 0.5
    fixed, moving = (image[body].double() for image in images)
    if fixed.numel() < _BINS * _BINS:
        return Similarity.LNCC, "the scans overlap too little to compare their contrasts."
    by_line = float(torch.corrcoef(torch.stack([fixed, moving]))[0, 1]) ** 2
    by_any = max(_explained(fixed, moving), _explained(moving, fixed))
    facts = f"a straight line explains {by_line:.2f} of the variance, any function of intensity {by_any:.2f}."
    if by_line >= _LINEAR_SHARE * by_any:
        return Similarity.LNCC, f"the contrasts are alike: {facts}"
    if partial:
        return Similarity.MIND, f"the contrasts differ in parts of long bodies: {facts}"
    return Similarity.MI, f"the contrasts differ: {facts}"


def _explained(image: Tensor, by: Tensor) -> float:
    """Share of the variance of one image that a function of the other explains (correlation ratio), 0 to 1."""
    bins = (by.clamp(0, 1) * (_BINS - 1)).long()
    counts = torch.bincount(bins, minlength=_BINS).clamp(min=1)
    means = torch.bincount(bins, image, _BINS) / counts
    return float((means[bins] - image.mean()).square().mean() / image.var().clamp(min=1e-9))
