"""Locally weighted voting: an atlas counts as much as it looks like the target there.

Artaechevarria et al. (IEEE TMI 2009) weight by a power of the mean squared difference in a window; here intensities
are standardised in a wider window first, so that a shading or another scanner's scale does not count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..fields import box_mean
from .stack import Stack, as_tensor, slabs

_STANDARDISED, _COMPARED = 15, 7
_POWER = 0.5
_FLAT = 0.02
"""Added to a window's standard deviation, for intensities in [0, 1]: noise in flat regions should say nothing."""
_LEAST = 1e-3
"""Mean squared difference, in standard deviations, that counts as none."""


def standardised(image: Tensor, width: int = _STANDARDISED) -> Tensor:
    """An image (1, 1, D, H, W) less its mean, by its standard deviation, in windows of `width` voxels."""
    mean = box_mean(image, width)
    variance = (box_mean(image * image, width) - mean * mean).clamp_(min=0)
    return (image - mean) / (variance.sqrt_() + _FLAT)


def similarity_weights(stack: Stack) -> NDArray[np.float16]:
    """Weights (L, D, H, W), 0 to 1, that sum to 1 over the atlases: `D_i^-1/2`, D_i the mean squared difference."""
    weights = np.empty(stack.labels.shape, np.float16)
    for slab in slabs(stack.shape, _STANDARDISED // 2 + _COMPARED // 2):
        target = standardised(as_tensor(stack.target[slab.outer]))
        each = []
        for image in stack.images:
            difference = standardised(as_tensor(image[slab.outer])).sub_(target)
            each.append(box_mean(difference.square_(), _COMPARED).clamp_(min=_LEAST).pow_(-_POWER))
        total = sum(each[1:], each[0])
        for weight, one in zip(weights, each, strict=True):
            weight[slab.inner] = (one / total)[0, 0, slab.kept].numpy()
    return weights
