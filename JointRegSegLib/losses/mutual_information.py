"""Similarity of images whose intensities correspond in any way: mutual information (Viola and Wells, IJCV 1997)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from JointRegSegLib.fields import gaussian

BINS = 32
_SMOOTHING = 1.0
_TINY = 1e-6


def joint_histogram(fixed: Tensor, warped: Tensor, weight: Tensor | None = None, bins: int = BINS) -> Tensor:
    """Joint density of two images with intensities in [0, 1] (clipped), (bins, bins), fixed along the first axis.

    Args:
        fixed, warped: tensors of one shape.
        weight: same shape; 0 where a voxel must not count.
    """
    row = (fixed.flatten().clamp(0, 1) * (bins - 1)).round().long()
    place = warped.flatten().clamp(0, 1) * (bins - 1)
    low = place.floor().clamp_(max=bins - 2)
    share = place - low
    index = row * bins + low.long()
    counted = torch.ones_like(share) if weight is None else weight.flatten()
    counts = torch.bincount(index, (1 - share) * counted, bins * bins)
    counts += torch.bincount(index + 1, share * counted, bins * bins)
    counts = counts.view(bins, bins)
    return counts / counts.sum().clamp(min=_TINY)


def mutual_information(fixed: Tensor, warped: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mutual information in nats of two images with intensities in [0, 1]."""
    joint = joint_histogram(fixed, warped, weight)
    product = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return (joint * ((joint + _TINY**2) / (product + _TINY**2)).log()).sum()


def mutual_information_force(fixed: Tensor, warped: Tensor, weight: Tensor | None = None) -> Tensor:
    """Derivative of the mutual information by the warped intensity, (1, 1, D, H, W).

    It is the slope, along the warped intensity, of log p(f, m) - log p(m), read from the smoothed joint density.
    """
    joint = joint_histogram(fixed, warped, weight)
    joint = gaussian(joint[None, None, None], (0.0, _SMOOTHING, _SMOOTHING))[0, 0, 0] + _TINY
    table = (joint / joint.sum(0, keepdim=True)).log()
    slope = torch.gradient(table, dim=1)[0] * (BINS - 1)
    places = torch.stack([warped.flatten(), fixed.flatten()], -1).clamp(0, 1) * 2 - 1
    force = F.grid_sample(slope[None, None], places[None, None], padding_mode="border", align_corners=True)
    force = force.view_as(warped)
    return force if weight is None else force * weight
