"""Boxes of voxels: parts of an array (k, j, i) as a slice along each axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Box = tuple[slice, slice, slice]
"""Voxels of a part (d, h, w)."""


def box_around(boxes: Sequence[Sequence[slice]]) -> Box:
    """The smallest box that holds all of these, of which there is at least one."""
    axes = zip(*boxes, strict=True)
    d, h, w = (slice(min(side.start for side in axis), max(side.stop for side in axis)) for axis in axes)
    return d, h, w


def widened(box: Sequence[slice], by: Sequence[int], shape: Sequence[int]) -> Box:
    """The box with `by` voxels more at both ends of each axis, where an array of this shape has them."""
    sides = zip(box, by, shape, strict=True)
    d, h, w = (slice(max(side.start - more, 0), min(side.stop + more, n)) for side, more, n in sides)
    return d, h, w


def boxes_of_labels(maps: Sequence[NDArray[Any]]) -> Iterator[tuple[int, Box]]:
    """Each value but 0 that any of these label maps has, in ascending order, and the box that holds it in all."""
    found = (ndimage.find_objects(labels.astype(np.int32)) for labels in maps)
    for value, each in enumerate(zip_longest(*found), 1):
        known = [box for box in each if box is not None]
        if known:
            yield value, box_around(known)
