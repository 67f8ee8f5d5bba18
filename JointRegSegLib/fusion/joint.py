"""Joint label fusion (Wang et al., IEEE TPAMI 35(3), 2013): atlases that err together share one vote.

The expected product of two atlases' label errors at x is modelled by their intensity errors in a patch around x:
`M_x(i, j) = (1/|N| sum_k |T(k) - A_i(k)| |T(k) - A_j(k)|)^beta` (eq. 15), patches standardised to mean 0 and
standard deviation 1. The weights that make the expected error least are `(M + alpha I)^-1 1`, scaled to a sum of 1
(eq. 11).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..fields import box_mean
from .stack import Stack, as_tensor, disputed, slabs

BETA, ALPHA, PATCH = 2.0, 0.1, 2
"""The exponent, the regularisation and the patch's radius in voxels, as in the paper."""

_FLAT = 0.02
_AT_ONCE = 16_384
_AROUND = 2
"""Voxels around a dispute that get weights of their own: the votes are blurred afterwards."""


def joint_weights(stack: Stack, beta: float = BETA, alpha: float = ALPHA) -> NDArray[np.float16]:
    """Weights (L, D, H, W) that sum to 1 over the atlases and may be negative; equal ones far from any dispute."""
    count = len(stack)
    weights = np.full(stack.labels.shape, 1.0 / count, np.float16)
    near = ndimage.binary_dilation(disputed(stack.labels), iterations=_AROUND)
    for slab in slabs(stack.shape, PATCH):
        wanted = np.zeros(near[slab.outer].shape, bool)
        wanted[slab.kept] = near[slab.inner]
        inside = torch.from_numpy(np.argwhere(wanted)) + PATCH
        images = [_padded(image[slab.outer]) for image in (stack.target, *stack.images)]
        strides = torch.tensor(images[0].stride())
        steps = torch.tensor(list(product(range(-PATCH, PATCH + 1), repeat=3))) @ strides
        flat = [image.flatten() for image in images]
        found = np.empty((count, len(inside)), np.float16)
        for start in range(0, len(inside), _AT_ONCE):
            places = (inside[start : start + _AT_ONCE] @ strides)[:, None] + steps
            patches = [_standardised(image[places]) for image in flat]
            errors = torch.stack([(patch - patches[0]).abs_() for patch in patches[1:]], 1)
            found[:, start : start + _AT_ONCE] = weights_of(_covariance(errors), beta, alpha).T.numpy()
        weights[:, slab.inner][:, near[slab.inner]] = found
    return weights


def weights_of(covariance: Tensor, beta: float = BETA, alpha: float = ALPHA) -> Tensor:
    """Weights (N, L) with a sum of 1 from mean products of errors (N, L, L)."""
    count = covariance.shape[1]
    regular = covariance.pow(beta) + alpha * torch.eye(count)
    weights = torch.linalg.solve(regular, covariance.new_ones(len(covariance), count, 1))[..., 0]
    return weights / weights.sum(1, keepdim=True)


def best_matches(stack: Stack, radius: int) -> Stack:
    """The atlases with each voxel's label and intensity taken from the best matching patch nearby.

    The local search of joint label fusion: of all shifts of at most `radius` voxels along each axis the one whose patch
    correlates best with the target's; of equal ones the shortest.
    """
    if radius < 1:
        return stack
    images, labels = np.empty_like(stack.images), np.empty_like(stack.labels)
    for slab in slabs(stack.shape, PATCH + radius):
        target = as_tensor(stack.target[slab.outer])
        for number in range(len(stack)):
            image, names = stack.images[number, slab.outer], stack.labels[number, slab.outer]
            best = torch.full_like(target, -2.0)[0, 0]
            taken, named = image.copy(), names.copy()
            for shift, likeness in _correlations(target, as_tensor(image), radius):
                better = likeness > best
                best = torch.where(better, likeness, best)
                chosen = better.numpy()
                taken[chosen] = _shifted(image, shift)[chosen]
                named[chosen] = _shifted(names, shift)[chosen]
            images[number, slab.inner], labels[number, slab.inner] = taken[slab.kept], named[slab.kept]
    return Stack(stack.target, images, labels, stack.spacing)


def _correlations(target: Tensor, image: Tensor, radius: int) -> Iterator[tuple[tuple[int, ...], Tensor]]:
    """Shifts, the shortest first, and how the patches (D, H, W) correlate after each."""
    width = 2 * PATCH + 1
    mean = box_mean(target, width)
    spread = (box_mean(target * target, width) - mean * mean).clamp_(min=0).sqrt_()
    reach = range(-radius, radius + 1)
    for shift in sorted(product(reach, repeat=3), key=lambda s: (sum(v * v for v in s), s)):
        moved = torch.from_numpy(_shifted(image[0, 0].numpy(), shift))[None, None]
        other = box_mean(moved, width)
        others = (box_mean(moved * moved, width) - other * other).clamp_(min=0).sqrt_()
        yield shift, ((box_mean(target * moved, width) - mean * other) / (spread * others + _FLAT**2))[0, 0]


def _shifted(array: NDArray[np.generic], shift: tuple[int, ...]) -> NDArray[np.generic]:
    """`array` at x + shift, its faces repeated."""
    places = (np.clip(np.arange(n) + s, 0, n - 1) for n, s in zip(array.shape, shift, strict=True))
    moved: NDArray[np.generic] = array[np.ix_(*places)]
    return moved


def _padded(array: NDArray[np.floating]) -> Tensor:
    return F.pad(as_tensor(array), [PATCH] * 6, mode="replicate")[0, 0]


def _standardised(patches: Tensor) -> Tensor:
    """(N, P) patches with mean 0 and, unless they are flat, standard deviation 1."""
    patches = patches - patches.mean(1, keepdim=True)
    return patches / (patches.square().mean(1, keepdim=True).sqrt_() + _FLAT)


def _covariance(errors: Tensor) -> Tensor:
    """Mean products (N, L, L) of absolute errors (N, L, P)."""
    return errors @ errors.transpose(1, 2) / errors.shape[2]
