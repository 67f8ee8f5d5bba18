"""Similarity of images whose intensities mean the same: the mean of squared differences."""

from __future__ import annotations

from torch import Tensor


def mean_squares(fixed: Tensor, warped: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of (fixed - warped)^2 over (B, 1, D, H, W), weighted where a weight is given."""
    squares = (fixed - warped).square()
    return squares.mean() if weight is None else (squares * weight).sum() / weight.sum().clamp(min=1e-6)


def mean_squares_force(fixed: Tensor, warped: Tensor) -> Tensor:
    """Minus the derivative of the squared difference by the warped intensity, (1, 1, D, H, W)."""
    return (fixed - warped).mul_(2.0)
