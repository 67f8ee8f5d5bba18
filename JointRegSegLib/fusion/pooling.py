"""The linear opinion pool (Stone, Ann Math Stat 1961), each voxel's opinions weighted by their confidence there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Fused:
    """What the opinions agree on.

    Attributes:
        classes: the most probable class of each voxel, (D, H, W) int64; of equally probable ones the first.
        confidence: its pooled probability, (D, H, W), 0 to 1.
    """

    classes: Tensor
    confidence: Tensor


def pool(opinions: Sequence[Tensor], known: Sequence[Tensor | None]) -> Fused:
    """Fuse probabilities voxel by voxel: `P = sum_s w_s P_s / sum_s w_s`, with `w_s = max_c P_s(c)` its confidence.

    An opinion that is sure outweighs one that wavers; two that are equally sure of different classes leave a
    confidence of a half.

    Args:
        opinions: of each source the probabilities (K, D, H, W), background at 0.
        known: of each source where it has an opinion, (D, H, W), 0 to 1; everywhere where None. Where none has, the
            voxel is background with confidence 0.
    """
    weights = []
    for opinion, where in zip(opinions, known, strict=True):
        sure = opinion.amax(0)
        weights.append(sure if where is None else sure * where)
    total = sum(weights[1:], weights[0]).clamp(min=1e-6)
    pooled = opinions[0] * (weights[0] / total)
    for opinion, weight in zip(opinions[1:], weights[1:], strict=True):
        pooled += opinion * (weight / total)
    confidence, classes = pooled.max(0)
    return Fused(classes, confidence)
