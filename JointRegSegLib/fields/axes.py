"""What works on each axis by itself, as one matrix product an axis."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def along_axes(image: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """A matrix applied along each axis, the one that leaves fewest voxels first.

    Where an operation is separable and linear this outruns passes over the image, one for each weight of a row, as long
    as the axes have hundreds of voxels and not thousands.

    Args:
        image: (B, C, D, H, W).
        matrices: (D', D), (H', H), (W', W).

    Returns: (B, C, D', H', W').
    """
    for axis in sorted(range(3), key=lambda axis: matrices[axis].shape[0] / matrices[axis].shape[1]):
        matrix = matrices[axis]
        if axis == 0:
            image = (matrix @ image.flatten(3)).unflatten(3, image.shape[3:])
        else:
            image = matrix @ image if axis == 1 else image @ matrix.T
    return image
