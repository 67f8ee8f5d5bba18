"""What of a scan is body, and how its intensities are put on a common scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from .resampling import to_sitk
from .volume import Volume

_COARSE_SIDE = 64
_ALL_OF_IT = 0.8
_SPECK = 0.02
_LOW, _HIGH = -0.2, 1.2


@dataclass(frozen=True)
class Foreground:
    """The body in a scan.

    Attributes:
        mask: (k, j, i) bool, coarse at its border, holes filled.
        cut: whether the body reaches the scan's edge, so that the scan shows only part of it.
    """

    mask: NDArray[np.bool_]
    cut: bool


def find_foreground(volume: Volume) -> Foreground:
    """Tell the body from air and padding by half of Otsu's threshold on a coarse copy.

    A crop without background is foreground throughout.
    """
    steps = [max(1, n // _COARSE_SIDE) for n in volume.grid.size]
    coarse = sitk.GetArrayFromImage(sitk.BinShrink(to_sitk(volume.array.astype(np.float32), volume.grid), steps))
    low, high = np.percentile(coarse, [0.5, 99.5])
    clipped = np.clip(coarse, low, high)
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(clipped))
    mask = _without_specks(clipped > low + 0.5 * (otsu.GetThreshold() - low))
    mask = _filled(mask)
    if mask.mean() > _ALL_OF_IT or not mask.any():
        return Foreground(np.ones(volume.array.shape, bool), True)
    faces = [np.take(mask, end, axis).mean() for axis in range(3) for end in (0, -1)]
    return Foreground(_enlarged(mask, steps, volume.array.shape), max(faces) > 0.01)


def scaled_intensities(volume: Volume, foreground: Foreground) -> NDArray[np.float32]:
    """Intensities with the foreground's 1st and 99th percentile at 0 and 1, clipped a little beyond: (k, j, i)."""
    inside = volume.array[foreground.mask]
    low, high = np.percentile(inside[:: max(1, inside.size // 200_000)], [1, 99])
    if high <= low:
        low, high = float(volume.array.min()), float(volume.array.max())
    scaled = (volume.array.astype(np.float32, copy=False) - np.float32(low)) * np.float32(1.0 / (high - low))
    return np.clip(scaled, _LOW, _HIGH, out=scaled)


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept: NDArray[np.bool_] = np.isin(parts, np.flatnonzero(sizes > _SPECK * sizes.max()))
    return kept


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Small gaps closed, and holes filled slice by slice along every axis: bowel and lungs reach the scan's end."""
    closed = ndimage.binary_closing(np.pad(mask, 2), iterations=2)[2:-2, 2:-2, 2:-2] | mask
    for axis in range(3):
        slices = [ndimage.binary_fill_holes(part) for part in np.moveaxis(closed, axis, 0)]
        closed = np.moveaxis(np.stack(slices), 0, axis)
    return closed


def _enlarged(mask: NDArray[np.bool_], steps: list[int], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    for axis, step in enumerate(reversed(steps)):
        mask = np.repeat(mask, step, axis)
        missing = shape[axis] - mask.shape[axis]
        mask = np.pad(mask, [(0, missing if a == axis else 0) for a in range(3)], mode="edge")
    return mask
