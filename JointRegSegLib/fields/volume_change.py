"""Keeping a deformation from swelling and shrinking more than it has to."""

from __future__ import annotations

import torch
from torch import Tensor

from .differences import central_difference
from .jacobian import jacobian_determinant

_LEAST = 0.05
_SLAB = 16


def even_volumes(field: Tensor, strength: float) -> Tensor:
    """The field after one small step that lowers the mean of (log J)^2.

    To first order log J is the divergence, whose squared mean falls along its gradient; shear and rotation stay as
    they are. Tissue hardly changes its volume, while it does shear, so this costs less than smoothing the field.

    Args:
        field: (1, 3, D, H, W) in voxels.
        strength: length of the step, below 2/3 to be stable.
    """
    log_j = _log_jacobian(field)
    moved = field.clone()
    for axis in range(3):
        moved[0, axis].add_(central_difference(log_j, axis), alpha=strength)
    return moved


def _log_jacobian(field: Tensor) -> Tensor:
    """Logarithm of the determinant, (D, H, W), slab by slab: its nine derivatives fit in the cache, not in memory."""
    depth = field.shape[2]
    parts = []
    for start in range(0, depth, _SLAB):
        end = min(start + _SLAB, depth)
        first, last = max(start - 1, 0), min(end + 1, depth)
        part = jacobian_determinant(field[:, :, first:last])[0, 0]
        parts.append(part[start - first : start - first + end - start].clamp(min=_LEAST).log_())
    return torch.cat(parts)
