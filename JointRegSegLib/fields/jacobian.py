"""How a displacement field changes volumes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Differences = Literal["central", "forward"]


def jacobian_determinant(field: Tensor, differences: Differences = "central") -> Tensor:
    """Determinant of I + grad u.

    Args:
        field: (B, 3, D, H, W) in voxels. On an affine grid the determinant is the same in voxels and in mm.
        differences: "central" (one-sided at the edges), or "forward" as LapIRN counts (Mok & Chung, MICCAI 2020).

    Returns: (B, 1, D, H, W), one less along each axis by forward differences; 1 where volumes stay, at most 0 where
    the field folds.
    """
    rows = []
    for i in range(3):
        parts = _forward(field[:, i]) if differences == "forward" else torch.gradient(field[:, i], dim=(1, 2, 3))
        rows.append([part + 1.0 if i == j else part for j, part in enumerate(parts)])
    (a, b, c), (d, e, f), (g, h, k) = rows
    return (a * (e * k - f * h) - b * (d * k - f * g) + c * (d * h - e * g))[:, None]


def _forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Forward differences of (B, D, H, W) along its axes, where all three exist: (B, D - 1, H - 1, W - 1) each."""
    here = x[:, :-1, :-1, :-1]
    return x[:, 1:, :-1, :-1] - here, x[:, :-1, 1:, :-1] - here, x[:, :-1, :-1, 1:] - here
