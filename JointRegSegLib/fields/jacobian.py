"""How a displacement field changes volumes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .differences import central_difference

Differences = Literal["central", "forward"]


def jacobian_determinant(field: Tensor, differences: Differences = "central") -> Tensor:
    """Determinant of I + grad u; not differentiable.

    Args:
        field: (B, 3, D, H, W) in voxels. On an affine grid the determinant is the same in voxels and in mm.
        differences: "central" (one-sided at the edges), or "forward" as LapIRN counts (Mok & Chung, MICCAI 2020).

    Returns: (B, 1, D, H, W), one less along each axis by forward differences; 1 where volumes stay, at most 0 where
    the field folds.
    """
    rows = []
    for i in range(3):
        parts = _forward(field[:, i]) if differences == "forward" else _central(field[:, i])
        parts[i].add_(1.0)
        rows.append(parts)
    (a, b, c), (d, e, f), (g, h, k) = rows
    found = (e * k).sub_(f * h).mul_(a)
    found.sub_((d * k).sub_(f * g).mul_(b))
    return found.add_((d * h).sub_(e * g).mul_(c))[:, None]


def _central(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Central differences of (B, D, H, W) along its axes."""
    return central_difference(x, 1), central_difference(x, 2), central_difference(x, 3)


def _forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Forward differences of (B, D, H, W) along its axes, where all three exist: (B, D - 1, H - 1, W - 1) each."""
    here = x[:, :-1, :-1, :-1]
    return x[:, 1:, :-1, :-1] - here, x[:, :-1, 1:, :-1] - here, x[:, :-1, :-1, 1:] - here
