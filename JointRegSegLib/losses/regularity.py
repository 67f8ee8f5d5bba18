"""How far a displacement field is from a translation, or from an affine map."""

from __future__ import annotations

import torch
from torch import Tensor

from .precision import in_single_precision

_AXES = (2, 3, 4)


@in_single_precision
def diffusion(field: Tensor) -> Tensor:
    """Mean over the three axes of the mean squared forward difference, of each sample; a translation has 0.

    Args:
        field: (B, 3, D, H, W) in voxels, sides of at least 2.

    Returns: (B,), voxels^2 per voxel^2.
    """
    depth, height, width = (_mean_square(field.diff(dim=axis)) for axis in _AXES)
    return (depth + height + width) / 3


@in_single_precision
def bending_energy(field: Tensor) -> Tensor:
    """Mean of the nine squared second differences, of each sample; an affine map has 0 (DeepAtlas' L_r).

    Args:
        field: (B, 3, D, H, W) in voxels, sides of at least 3.

    Returns: (B,), voxels^2 per voxel^4. Xu & Niethammer, MICCAI 2019: the mixed differences count twice.
    """
    slopes = [field.diff(dim=axis) for axis in _AXES]
    straight = [_mean_square(slope.diff(dim=axis)) for axis, slope in zip(_AXES, slopes, strict=True)]
    mixed = [_mean_square(slopes[a].diff(dim=_AXES[b])) for a, b in ((0, 1), (0, 2), (1, 2))]
    return torch.stack([*straight, *mixed, *mixed]).sum(0) / 9


def _mean_square(x: Tensor) -> Tensor:
    return x.square().mean((1, 2, 3, 4))
