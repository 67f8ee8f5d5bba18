"""Moving images between grids that share a space, through SimpleITK."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .grid import Grid
from .volume import LabelMap, Volume


def to_sitk(array: NDArray[Any], grid: Grid) -> sitk.Image:
    """A SimpleITK image with a copy of the array (k, j, i) or (k, j, i, component); bool becomes uint8.

    `ValueError` where array and grid differ in shape.
    """
    if array.shape[:3] != grid.shape:
        raise ValueError(f"array of shape {array.shape} on a grid of shape {grid.shape}")
    plain = array.astype(np.uint8) if array.dtype == bool else array
    return grid.place(sitk.GetImageFromArray(plain, isVector=array.ndim == 4))


def resample_labels_to(label_map: LabelMap, grid: Grid) -> LabelMap:
    """The label map on another grid: nearest voxel, 0 outside. The table stays whole."""
    return replace(
        label_map, array=_resample(label_map.array, label_map.grid, grid, sitk.sitkNearestNeighbor), grid=grid
    )


def resample_volume_to(volume: Volume, grid: Grid, default: float = 0.0) -> Volume:
    """The volume on another grid: linear between voxels (nearest for a boolean mask), `default` outside."""
    if volume.array.dtype == bool:
        return Volume(_resample(volume.array, volume.grid, grid, sitk.sitkNearestNeighbor, default) > 0, grid)
    return Volume(_resample(volume.array, volume.grid, grid, sitk.sitkLinear, default), grid)


def _resample(array: NDArray[Any], old: Grid, new: Grid, how: int, default: float = 0.0) -> NDArray[Any]:
    image = sitk.Resample(to_sitk(array, old), new.empty_image(), sitk.Transform(), how, default)
    return sitk.GetArrayFromImage(image)
