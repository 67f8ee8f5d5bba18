"""How a displacement field changes volumes."""

from __future__ import annotations

import torch
from torch import Tensor


def jacobian_determinant(field: Tensor) -> Tensor:
    """Determinant of I + grad u by central differences (one-sided at the edges).

    Args:
        field: (B, 3, D, H, W) in voxels. On an affine grid the determinant is the same in voxels and in mm.

    Returns: (B, 1, D, H, W); 1 where volumes stay, at most 0 where the field folds.
    """
    rows = []
    for i in range(3):
        parts = torch.gradient(field[:, i], dim=(1, 2, 3))
        rows.append([part + 1.0 if i == j else part for j, part in enumerate(parts)])
    (a, b, c), (d, e, f), (g, h, k) = rows
    return (a * (e * k - f * h) - b * (d * k - f * g) + c * (d * h - e * g))[:, None]
