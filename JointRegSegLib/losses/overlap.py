"""How little two soft segmentations overlap: the Dice losses."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .precision import in_single_precision

DiceForm = Literal["standard", "half", "negative"]

_TINY = 1e-6
_LEAST_SIZE = 1e-5


@in_single_precision
def soft_dice(
    a: Tensor, b: Tensor, form: DiceForm = "standard", background: bool = True, weight: Tensor | None = None
) -> Tensor:
    """Soft multi-class Dice loss of each sample, from I = sum(a b) and U = sum(a) + sum(b) of each class.

    Args:
        a, b: probabilities or one-hot labels (B, K, D, H, W), background at 0.
        form: "standard", 1 - mean 2 I / U, 0 to 1 (JRSS, Shi et al., BSPC 2023; DeepAtlas, Xu & Niethammer, MICCAI
            2019); "half", -mean I / U, -0.5 to 0 (PGCNet, Tan et al., MICCAI 2023); "negative", -mean 2 I / U,
            -1 to 0 (Bi-JROS, Fan et al., CVPR 2024). A class in neither counts as found by the first two and as
            missed by the last.
        background: whether class 0 counts.
        weight: (B, 1, D, H, W), 0 where a voxel must not count.

    Returns: (B,), smaller is better.
    """
    if not background:
        a, b = a[:, 1:], b[:, 1:]
    counted_a, counted_b = (a, b) if weight is None else (a * weight, b * weight)
    both, size = 2 * _sum(counted_a * b), _sum(counted_a) + _sum(counted_b)
    if form == "negative":
        return -(both / size.clamp(min=_LEAST_SIZE)).mean(1)
    overlap = ((both + _TINY) / (size + _TINY)).mean(1)
    return 1 - overlap if form == "standard" else -overlap / 2


def _sum(x: Tensor) -> Tensor:
    return x.sum((2, 3, 4))
