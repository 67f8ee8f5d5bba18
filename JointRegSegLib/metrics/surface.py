"""Distances between the surfaces of two segmentations, in mm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from JointRegSegLib.volumes.boxes import boxes_of_labels


def hd95(
    a: NDArray[np.integer], b: NDArray[np.integer], value: int, spacing: tuple[float, ...], pooled: bool = False
) -> float:
    """95 % Hausdorff distance of one structure.

    Args:
        a, b: label maps of one shape (D, H, W).
        value: the structure.
        spacing: mm between voxels along D, H, W.
        pooled: the 95th percentile of both directed sets together (medpy's definition) instead of the larger of
            the two directed 95th percentiles.

    Returns: mm, or NaN where the structure is missing from a or b.
    """
    masks = a == value, b == value
    if not (masks[0].any() and masks[1].any()):
        return float("nan")
    box = ndimage.find_objects((masks[0] | masks[1]).astype(np.uint8))[0]
    first, second = (_surface(mask[box]) for mask in masks)
    there = _distances(first, second, spacing)
    back = _distances(second, first, spacing)
    if pooled:
        return float(np.percentile(np.concatenate([there, back]), 95))
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def hd95_each(
    a: NDArray[np.integer], b: NDArray[np.integer], spacing: tuple[float, ...], pooled: bool = False
) -> dict[int, float]:
    """`hd95` of every structure that is in either label map, by its value; each is looked at in its own box."""
    return {value: hd95(a[box], b[box], value, spacing, pooled) for value, box in boxes_of_labels((a, b))}


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = ndimage.binary_erosion(np.pad(mask, 1))[1:-1, 1:-1, 1:-1]
    surface: NDArray[np.bool_] = mask & ~inner
    return surface


def _distances(from_: NDArray[np.bool_], to: NDArray[np.bool_], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    distance: NDArray[np.float64] = ndimage.distance_transform_edt(~to, sampling=spacing)
    return distance[from_]
