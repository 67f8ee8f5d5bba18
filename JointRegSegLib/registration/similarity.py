"""What pulls one image towards the other at one resolution, for each similarity a user can choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from JointRegSegLib.fields import sample
from JointRegSegLib.job import Similarity
from JointRegSegLib.losses import (
    FixedMoments,
    image_gradient,
    lncc,
    lncc_force,
    mean_squares,
    mean_squares_force,
    mind_features,
    mutual_information,
    mutual_information_force,
)


class Pull(Protocol):
    """What draws fixed voxels to where they should lie in the moving image."""

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        """Uphill direction (1, 3, D, H, W) in voxels^-1 at positions (1, 3, D, H, W)."""


class ImagePull(Pull, Protocol):
    """A similarity of two images on one grid, as a function of where the fixed voxels lie in the moving image."""

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        """The similarity; larger is better."""


class LocalCorrelation:
    """Local normalised cross-correlation in windows of one or several widths."""

    def __init__(self, fixed: Tensor, moving: Tensor, windows: Sequence[int]) -> None:
        self._moments = [FixedMoments.of(fixed, window) for window in windows]
        self._moving = moving

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        warped = sample(self._moving, positions)
        total = lncc_force(self._moments[0], warped, weight)
        for moments in self._moments[1:]:
            total += lncc_force(moments, warped, weight)
        return image_gradient(warped).mul_(total)

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        warped = sample(self._moving, positions)
        return sum(float(lncc(moments, warped, weight)) for moments in self._moments) / len(self._moments)


class MeanSquares:
    """Mean of squared differences."""

    def __init__(self, fixed: Tensor, moving: Tensor) -> None:
        self._fixed, self._moving = fixed, moving

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        warped = sample(self._moving, positions)
        pull = mean_squares_force(self._fixed, warped)
        return image_gradient(warped).mul_(pull if weight is None else pull * weight)

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        return -float(mean_squares(self._fixed, sample(self._moving, positions), weight))


class MutualInformation:
    """Mutual information of the whole images."""

    def __init__(self, fixed: Tensor, moving: Tensor) -> None:
        self._fixed, self._moving = fixed, moving

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        warped = sample(self._moving, positions)
        return image_gradient(warped).mul_(mutual_information_force(self._fixed, warped, weight))

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        return float(mutual_information(self._fixed, sample(self._moving, positions), weight))


class SelfSimilarity:
    """Squared differences of the twelve MIND-SSC channels."""

    def __init__(self, fixed: Tensor, moving: Tensor) -> None:
        self._fixed, self._moving = mind_features(fixed), mind_features(moving)

    def force(self, positions: Tensor, weight: Tensor | None) -> Tensor:
        total = torch.zeros_like(positions)
        for fixed, moving in zip(self._fixed.split(1, 1), self._moving.split(1, 1), strict=True):
            warped = sample(moving, positions)
            total += image_gradient(warped).mul_(mean_squares_force(fixed, warped))
        return total if weight is None else total.mul_(weight)

    def value(self, positions: Tensor, weight: Tensor | None) -> float:
        channels = zip(self._fixed.split(1, 1), self._moving.split(1, 1), strict=True)
        return -sum(float(mean_squares(f, sample(m, positions), weight)) for f, m in channels) / 12


def pull_of(similarity: Similarity, fixed: Tensor, moving: Tensor, windows: Sequence[int]) -> ImagePull:
    """The pull of a chosen similarity (not AUTO) between two images (1, 1, D, H, W) on one grid."""
    if similarity is Similarity.LNCC:
        return LocalCorrelation(fixed, moving, windows)
    if similarity is Similarity.MSE:
        return MeanSquares(fixed, moving)
    if similarity is Similarity.MI:
        return MutualInformation(fixed, moving)
    if similarity is Similarity.MIND:
        return SelfSimilarity(fixed, moving)
    raise ValueError(f"{similarity} does not say what to compare")
