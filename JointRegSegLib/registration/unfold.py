"""Mending the few places where a field folds or nearly does."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from JointRegSegLib.fields import binomial, box_mean, jacobian_determinant

_LEAST = 0.05
_REACH = 7
_SMOOTHINGS = 4


def unfold(field: Tensor, rounds: int = 30) -> Tensor:
    """The field smoothed where its determinant is below 0.05, and a few voxels around, until nothing is.

    Steps that are not infinitely small can fold where many of them crowd together. Everywhere else the field stays
    as it is; a field without such places is returned unchanged.

    Args:
        field: (1, 3, D, H, W) in voxels.
        rounds: at most this many.
    """
    for _ in range(rounds):
        bad = (jacobian_determinant(field) < _LEAST).to(field.dtype)
        if not bad.any():
            break
        share = box_mean(F.max_pool3d(bad, _REACH, 1, _REACH // 2), _REACH)
        smooth = field
        for _ in range(_SMOOTHINGS):
            smooth = binomial(smooth)
        field = field + share * (smooth - field)
    return field
