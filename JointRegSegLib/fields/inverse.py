"""The inverse of a displacement field by fixed-point iteration (Chen et al., Med Phys 2008)."""

from __future__ import annotations

from torch import Tensor

from .sampling import identity, sample, shape_of


def inverse(field: Tensor, iterations: int = 30, tolerance: float = 0.01, start: Tensor | None = None) -> Tensor:
    """The field w with `w(q) = -u(q + w(q))`, so that following one field and then the other leads back.

    The iteration contracts where the field does not fold and is smooth at the scale of a voxel; half steps are
    taken so that strong shears converge too.

    Args:
        field: u, (1, 3, D, H, W) in voxels.
        iterations: at most this many.
        tolerance: stop when the 99.9th percentile of the residual falls below this many voxels.
        start: first guess of w, same shape.

    Returns: w, same shape, in voxels.
    """
    points = identity(shape_of(field), field)
    guess = -field if start is None else start.clone()
    for _ in range(iterations):
        residual = guess + sample(field, points + guess)
        guess -= residual
        if _percentile(residual) < tolerance:
            break
    return guess


def _percentile(residual: Tensor) -> float:
    lengths = residual.square().sum(1).flatten()
    rank = max(int(0.999 * lengths.numel()), 1)
    return float(lengths.kthvalue(rank).values.sqrt())
