"""What a picture of a result shows: all on the target's grid, turned so that its planes look as in a clinic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
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
from ..volumes.images import load_image
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
        across, down = self.components()
        return grid.spacing[down] / grid.spacing[across]

    def extent(self, grid: Grid) -> tuple[float, float]:
        """Width and height of the slice in mm."""
        across, down = self.components()
        return grid.size[across] * grid.spacing[across], grid.size[down] * grid.spacing[down]

    def components(self) -> tuple[int, int]:
        """The index axes (0 = i, 1 = j, 2 = k) that run across and down the slice."""
        return ((0, 1), (0, 2), (1, 2))[self.axis]


@dataclass(frozen=True)
class Scene:
    """A result's volumes as arrays (k, j, i) on one grid in canonical order.

    Attributes:
        grid: of all arrays.
        target: intensities scaled to 0..1; the warped atlas's where the target scan is not at hand.
        atlas_before, atlas_after: likewise, the atlas as it was placed (or None), and warped.
        labels_before, labels: label values of the atlas as it was placed (or None), and found.
        table: their names and colours.
        jacobian: determinant of the target-to-atlas mapping.
        positions: (3, k, j, i): index coordinates i, j, k that the deformable part maps each voxel to, in mm from
            the grid's corner; the affine is taken out.
        confidence: how sure the labels are, 0 to 1, or None.
        review: labels of the voxels that should be looked at, 0 elsewhere, or None.
    """

    grid: Grid
    target: NDArray[Any]
    atlas_before: NDArray[Any] | None
    atlas_after: NDArray[Any]
    labels_before: NDArray[Any] | None
    labels: NDArray[Any]
    table: LabelTable
    jacobian: NDArray[Any]
    positions: NDArray[Any]
    confidence: NDArray[Any] | None = None
    review: NDArray[Any] | None = None

    def planes(self) -> tuple[Plane, Plane, Plane]:
        """The axial, coronal and sagittal slice that show the most structures, and of those the most of them."""
        return (
            Plane("axial", 0, _richest(self.labels, 0), ("R", "L", "A", "P")),
            Plane("coronal", 1, _richest(self.labels, 1), ("R", "L", "S", "I")),
            Plane("sagittal", 2, _richest(self.labels, 2), ("A", "P", "S", "I")),
        )


def load_scene(run: Result, target: Path | None, atlas: Path | None = None, atlas_labels: Path | None = None) -> Scene:
    """Read what pictures need.

    Args:
        run: the finished run.
        target, atlas, atlas_labels: files that it was made from, as far as they are at hand.

    Raises:
        JobError: a file is missing or unreadable.
    """
    warped = read_volume(run.path(result.WARPED_ATLAS))
    fixed = warped if target is None else read_volume(target)
    grid = fixed.grid
    found = read_label_map(run.path(result.SEGMENTATION), None)
    labels = canonical(resample_labels_to(found, grid))
    vectors, _ = read_field(run.path(result.FIELD))
    affine = read_affine(run.path(result.AFFINE))
    table = found.table
    before = None
    if atlas_labels is not None:
        placed = read_label_map(atlas_labels, None)
        table = table.completed(placed.table.values())
        before = canonical(resample_labels_to(placed, grid)).array
    return Scene(
        grid=labels.grid,
        target=_scaled(canonical(fixed).array),
        atlas_before=None if atlas is None else _scaled(canonical(resample_volume_to(read_volume(atlas), grid)).array),
        atlas_after=_scaled(canonical(warped).array),
        labels_before=before,
        labels=labels.array,
        table=table,
        jacobian=_map(run.path(result.JACOBIAN)),
        positions=_positions(vectors, grid, affine),
        confidence=_map(run.path(result.CONFIDENCE)) if run.path(result.CONFIDENCE).is_file() else None,
        review=_map(run.path(result.REVIEW)) if run.path(result.REVIEW).is_file() else None,
    )


def _map(path: Path) -> NDArray[Any]:
    """The numbers of a map, which unlike a scan's may all be the same."""
    image = load_image(path)
    return canonical(Volume(sitk.GetArrayFromImage(image), Grid.of(image))).array


def _positions(vectors: NDArray[Any], grid: Grid, affine: NDArray[np.float64]) -> NDArray[Any]:
    """`Scene.positions`: linear in a voxel's indices and in its displacement, so each has its matrix."""
    parts = [canonical(Volume(vectors[..., axis], grid)) for axis in range(3)]
    turned = parts[0].grid
    to_index = np.linalg.inv(turned.matrix[:3, :3])
    back = to_index @ np.linalg.inv(affine[:3, :3])
    along = back @ turned.matrix[:3, :3]
    start = back @ (np.asarray(turned.origin) - affine[:3, 3]) - to_index @ np.asarray(turned.origin)
    i, j, k = (np.arange(n, dtype=np.float32) for n in turned.size)
    found = np.empty((3, *turned.shape), np.float32)
    for axis, mm in enumerate(turned.spacing):
        row, pull = (along[axis] * mm).astype(np.float32), (back[axis] * mm).astype(np.float32)
        straight = (row[2] * k[:, None, None] + row[1] * j[:, None] + row[0] * i) + np.float32(start[axis] * mm)
        found[axis] = straight + sum(weight * part.array for weight, part in zip(pull, parts, strict=True))
    return found


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
