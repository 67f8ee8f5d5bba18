"""Local normalised cross-correlation: alike up to a local change of brightness and contrast.

Squared correlation in cubic windows (Avants et al., Med Image Anal 2008), with box sums of width w:
`cc = cov(F, M)^2 / (var(F) var(M) + eps)`. With a weight, windows count only the voxels that have one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from JointRegSegLib.fields import box_mean

EPSILON = 1e-4
"""Variance, for images scaled to [0, 1], below which a window counts as flat: noise there should drive nothing."""

_LEAST_SHARE = 0.05


@dataclass(frozen=True)
class FixedMoments:
    """Local moments of the fixed image, which stay while the moving one is warped.

    Attributes:
        fixed: (1, 1, D, H, W).
        width: of the window, odd, in voxels.
        mean, variance: of `fixed` in windows without weights, (1, 1, D, H, W).
    """

    fixed: Tensor
    width: int
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, fixed: Tensor, width: int) -> FixedMoments:
        """The moments of an image (1, 1, D, H, W)."""
        mean, square = box_mean(torch.cat([fixed, fixed * fixed], 1), width).split(1, 1)
        return cls(fixed, width, mean, (square - mean * mean).clamp_(min=0))


def lncc(moments: FixedMoments, warped: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared correlation of the windows, 0 to 1; flat windows count little: each counts as its contrast.

    Args:
        moments: of the fixed image.
        warped: (1, 1, D, H, W).
        weight: (1, 1, D, H, W), 0 where a voxel must not count.
    """
    _, _, var_f, _, var_m, cov = window_moments(moments, warped, weight)
    contrast = var_f.sqrt() if weight is None else var_f.sqrt() * weight
    return (cov * cov / (var_f * var_m + EPSILON**2) * contrast).sum() / contrast.sum().clamp(min=1e-6)


def lncc_force(moments: FixedMoments, warped: Tensor, weight: Tensor | None = None) -> Tensor:
    """Derivative of the squared correlation by the warped intensity, taken at each window's centre, (1, 1, D, H, W)."""
    share, mean_f, var_f, mean_m, var_m, cov = window_moments(moments, warped, weight)
    ratio = cov.div_((var_m * var_f).add_(EPSILON**2))
    slope = ratio * var_f
    force = (moments.fixed - mean_f).sub_(slope * (warped - mean_m)).mul_(ratio).mul_(2.0)
    return force if share is None or weight is None else force.mul_(weight).mul_(share > _LEAST_SHARE)


def window_moments(
    moments: FixedMoments, warped: Tensor, weight: Tensor | None
) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Share of counted voxels, mean and variance of F, mean and variance of M, covariance, window by window."""
    fixed, width = moments.fixed, moments.width
    if weight is None:
        mean_m, square, product = (box_mean(x, width) for x in (warped, warped * warped, warped * fixed))
        mean_f, var_f, share = moments.mean, moments.variance, None
    else:
        m, f = warped * weight, fixed * weight
        stack = torch.cat([weight, m, m * warped, m * fixed, f, f * fixed], 1)
        share, mean_m, square, product, mean_f, square_f = box_mean(stack, width).split(1, 1)
        scale = 1.0 / share.clamp(min=_LEAST_SHARE)
        mean_m, square, product, mean_f, square_f = (x * scale for x in (mean_m, square, product, mean_f, square_f))
        var_f = (square_f - mean_f * mean_f).clamp_(min=0)
    var_m = (square - mean_m * mean_m).clamp_(min=0)
    return share, mean_f, var_f, mean_m, var_m, product - mean_m * mean_f
