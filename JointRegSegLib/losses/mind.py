"""Self-similarity descriptors that look alike in any contrast: MIND-SSC (Heinrich et al., MICCAI 2013)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from JointRegSegLib.fields import box_mean

_NEIGHBOURS = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))
PAIRS = tuple(
    (a, b)
    for a, b in itertools.combinations(_NEIGHBOURS, 2)
    if sum((i - j) ** 2 for i, j in zip(a, b, strict=True)) == 2
)
"""The 12 pairs of face neighbours that touch along an edge."""

_TINY = 1e-12


def mind_features(image: Tensor, distance: int = 2, patch: int = 3) -> Tensor:
    """Twelve channels, each how alike two neighbouring patches are relative to the local variation.

    Args:
        image: (1, 1, D, H, W).
        distance: of the neighbours from the voxel, in voxels.
        patch: odd width of the compared patches, in voxels.

    Returns: (1, 12, D, H, W), 0 to 1.
    """
    distances = torch.cat(
        [box_mean((_shift(image, a, distance) - _shift(image, b, distance)).square_(), patch) for a, b in PAIRS], 1
    )
    distances -= distances.min(1, keepdim=True).values
    variation = distances.mean(1, keepdim=True)
    centre = variation.mean().clamp(min=_TINY)
    return distances.div_(variation.clamp_(centre * 1e-3, centre * 1e3)).neg_().exp_()


def _shift(image: Tensor, offset: tuple[int, int, int], distance: int) -> Tensor:
    """The image as seen from `offset * distance` voxels away, edges repeated."""
    for axis, step in enumerate(offset, start=2):
        if step:
            n = image.shape[axis]
            index = (torch.arange(n, device=image.device) + step * distance).clamp_(0, n - 1)
            image = image.index_select(axis, index)
    return image
