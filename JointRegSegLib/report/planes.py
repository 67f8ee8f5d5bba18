"""What a picture of a result shows: all on the target's grid, turned so that its planes look as in a clinic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..job import Result, result
from ..volumes import (
    Grid,
    LabelTable,
    Volume,
    read_affine,
    read_field,
    read_label_map,
    read_volume,
    resample_labels_to,
    resample_volume_to,
)
from ..volumes.orientation import canonical

Slice = NDArray[Any]


@dataclass(frozen=True)
class Plane:
    """One plane through volumes whose index axes run towards left, posterior and superior.

    Attributes:
        name: axial, coronal or sagittal.
        axis: array axis (0 = k, 1 = j, 2 = i) that the plane is perpendicular to.
        index: the slice along that axis.
        letters: what lies at the left, right, top and bottom edge.
    """

    name: str
    axis: int
    index: int
    letters: tuple[str, str, str, str]

    def cut(self, array: NDArray[Any]) -> Slice:
        """The slice of an array (k, j, i), first row on top."""
        slices = np.take(array, self.index, axis=self.axis)
        return slices if self.axis == 0 else slices[::-1]

    def aspect(self, grid: Grid) -> float:
        """Height of a pixel over its width."""
        across, down = ((0, 1), (0, 2), (1, 2))[self.axis]
        return grid.spacing[down] / grid.spacing[across]

    def components(self) -> tuple[int, int]:
        """The index axes (0 = i, 1 = j, 2 = k) that run across and down the slice."""
        return ((0, 1), (0, 2), (1, 2))[self.axis]


@dataclass(frozen=True)
class Scene:
    """A result's volumes as arrays (k, j, i) on one grid in canonical order.

    Attributes:
        grid: of all arrays.
        target, atlas_before, atlas_after: intensities scaled to 0..1; the atlas as it was placed, and warped.
        labels: label values.
        table: their names and colours.
        jacobian: determinant of the target-to-atlas mapping.
        positions: (3, k, j, i): index coordinates i, j, k that the deformable part maps each voxel to, in mm from
            the grid's corner; the affine is taken out.
    """

    grid: Grid
    target: NDArray[Any]
    atlas_before: NDArray[Any]
    atlas_after: NDArray[Any]
    labels: NDArray[Any]
    table: LabelTable
    jacobian: NDArray[Any]
    positions: NDArray[Any]

    def planes(self) -> tuple[Plane, Plane, Plane]:
        """The axial, coronal and sagittal slice that show the most structures, and of those the most of them."""
        return (
            Plane("axial", 0, _richest(self.labels, 0), ("R", "L", "A", "P")),
            Plane("coronal", 1, _richest(self.labels, 1), ("R", "L", "S", "I")),
            Plane("sagittal", 2, _richest(self.labels, 2), ("A", "P", "S", "I")),
        )


def load_scene(run: Result, atlas: Path, target: Path) -> Scene:
    """Read what the picture needs; a `JobError` where a file is missing or unreadable."""
    fixed = read_volume(target)
    grid = fixed.grid
    labels = canonical(resample_labels_to(read_label_map(run.path(result.SEGMENTATION), None), grid))
    before = resample_volume_to(read_volume(atlas), grid)
    vectors, _ = read_field(run.path(result.FIELD))
    affine = read_affine(run.path(result.AFFINE))
    return Scene(
        grid=labels.grid,
        target=_scaled(canonical(fixed).array),
        atlas_before=_scaled(canonical(before).array),
        atlas_after=_scaled(canonical(read_volume(run.path(result.WARPED_ATLAS))).array),
        labels=labels.array,
        table=labels.table,
        jacobian=canonical(read_volume(run.path(result.JACOBIAN))).array,
        positions=_positions(vectors, grid, affine),
    )


def _positions(vectors: NDArray[Any], grid: Grid, affine: NDArray[np.float64]) -> NDArray[Any]:
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    mapped = grid.to_lps(np.stack([i, j, k], axis=-1)) + vectors
    placed = (mapped - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    parts = [canonical(Volume(placed[..., axis], grid)) for axis in range(3)]
    turned = parts[0].grid
    indices = turned.to_index(np.stack([part.array for part in parts], axis=-1))
    return np.moveaxis(indices * turned.spacing, -1, 0)


def _scaled(array: NDArray[Any]) -> NDArray[Any]:
    inside = array[array > array.min()]
    low, high = np.percentile(inside if inside.size else array, [0.5, 99.9])
    return np.clip((array - low) / max(high - low, 1e-6), 0.0, 1.0)


def _richest(labels: NDArray[Any], axis: int) -> int:
    others = tuple(other for other in range(3) if other != axis)
    area = np.count_nonzero(labels, axis=others)
    slices = np.moveaxis(labels, axis, 0)
    number = np.array([np.count_nonzero(np.bincount(part.ravel())[1:]) for part in slices])
    return int(np.argmax(number + area / (area.max() + 1.0)))
