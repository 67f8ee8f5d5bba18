"""Diffeomorphisms from velocity fields: the exponential by scaling and squaring (Arsigny et al., MICCAI 2006)."""

from __future__ import annotations

from torch import Tensor

from .warp import compose


def exponential(velocity: Tensor, steps: int = 7) -> Tensor:
    """The displacement that a stationary velocity field reaches at time 1.

    Args:
        velocity: (B, 3, D, H, W), voxels per unit of time.
        steps: number of squarings; the first step is velocity / 2**steps.

    Returns: displacement (B, 3, D, H, W) in voxels.
    """
    field = velocity / 2**steps
    for _ in range(steps):
        field = compose(field, field)
    return field
