"""Where on a grid a part of an image can land."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from JointRegSegLib.volumes.boxes import Box

from .sampling import Shape


def landings(positions: Tensor, boxes: Sequence[Box], repeated: Shape | None = None) -> list[Box | None]:
    """For each of many boxes of an image the part of a grid beyond which `sample` sees nothing of it.

    A slice of the grid is in where its least and greatest positions do not both lie on one side of the box: near
    enough to the true part for a map that moves neighbours alike, and found for all boxes in one look at the positions.

    Args:
        positions: (1, 3, D, H, W), in voxels of the image.
        boxes: of the image, (d, h, w).
        repeated: the image's shape where its edge is seen beyond it; None where zero is.

    Returns: None for a box that nothing lands in.
    """
    first = np.array([[side.start - 1.0 for side in box] for box in boxes]).reshape(-1, 3, 1)
    last = np.array([[float(side.stop) for side in box] for box in boxes]).reshape(-1, 3, 1)
    if repeated is not None:
        first[first < 0] = -np.inf
        last[last >= np.reshape(repeated, (1, 3, 1))] = np.inf
    near = []
    for others in ((2, 3), (1, 3), (1, 2)):
        least, greatest = (extreme(others).cpu().numpy() for extreme in (positions[0].amin, positions[0].amax))
        near.append(((greatest > first) & (least < last)).all(1))
    return [_spanned(*slices) for slices in zip(*near, strict=True)]


def _spanned(*slices: np.ndarray) -> Box | None:
    """From the first to the last slice that is in, along each axis."""
    if not all(inside.any() for inside in slices):
        return None
    d, h, w = (slice(int(inside.argmax()), len(inside) - int(inside[::-1].argmax())) for inside in slices)
    return d, h, w
