"""Labels as a user corrected them: they stay as they are, and pull what lies around them along."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..fields import Box, Matrix
from ..job import Code, JobError, Request
from ..registration import Pair
from ..volumes import Grid, LabelMap, canonical, present_values, read_label_map, resample_labels_to
from .earlier import Earlier
from .prepare import Inputs
from .progress import Progress
from .propagate import Propagated
from .soft_labels import soft_labels

_AROUND_MM = 8.0
_WEIGHT = 4.0
"""What a user drew outweighs what the images say."""


@dataclass(frozen=True)
class Corrections:
    """Corrected structures of a target.

    Attributes:
        labels: the whole label map as the user left it, on the target's grid in canonical order.
        values: the corrected ones.
        changed: voxels (k, j, i) where a corrected structure is no longer what the earlier result found.
    """

    labels: LabelMap
    values: tuple[int, ...]
    changed: NDArray[np.bool_]

    @classmethod
    def read(cls, path: Path, values: tuple[int, ...], inputs: Inputs, earlier: LabelMap) -> Corrections:
        """The corrections in a label map.

        Raises `JobError`: as of reading a label map; CORRECTIONS_INVALID where it lies elsewhere than the target, or
        a value is not one of the atlas's.
        """
        known = set(present_values(inputs.labels.array))
        if unknown := [value for value in values if value not in known]:
            raise _invalid(
                f"The corrections name the labels {unknown}, which the atlas does not have.",
                f"Name some of {sorted(known)}.",
            )
        labels = canonical(read_label_map(path))
        grid = inputs.target.grid
        if not labels.grid.same_as(grid):
            labels = _brought(labels, grid, path)
        corrected = np.isin(labels.array, values)
        differs = (labels.array != earlier.array) & (corrected | np.isin(earlier.array, values))
        return cls(labels, tuple(dict.fromkeys(values)), differs)

    def guiding(self, pair: Pair, atlas: LabelMap, affine: Matrix) -> Pair:
        """The pair with the corrected structures as soft labels on both sides."""
        groups = [(value,) for value in self.values]
        return replace(
            pair,
            fixed_labels=soft_labels(self.labels, groups, pair.grid, np.eye(4), pair.fixed),
            moving_labels=soft_labels(atlas, groups, pair.grid, affine, pair.fixed),
            labels_weight=_WEIGHT,
        )

    def regions_on(self, grid: Grid) -> tuple[Box, ...]:
        """Boxes of voxels (d, h, w) of another grid around what changed, apart where that lies apart."""
        cell = np.maximum(np.rint(_AROUND_MM / np.array(grid.spacing[::-1])), 1).astype(int)
        points = self.labels.grid.to_lps(np.argwhere(self.changed)[:, ::-1])
        cells = (np.rint(grid.to_index(points)[:, ::-1]) // cell).astype(int)
        cells = cells[((cells >= 0) & (cells * cell < grid.shape)).all(1)]
        shape = [-(-n // step) for n, step in zip(grid.shape, cell, strict=True)]
        near = np.zeros(shape, np.bool_)
        near[tuple(cells.T)] = True
        near = ndimage.binary_dilation(near, np.ones((3, 3, 3), np.bool_))
        boxes = []
        for found in ndimage.find_objects(ndimage.label(near)[0]):
            sides = zip(found, cell, grid.shape, strict=True)
            d, h, w = (slice(int(side.start * n), int(min(side.stop * n, m))) for side, n, m in sides)
            boxes.append((d, h, w))
        return tuple(boxes)

    def kept(self, propagated: Propagated) -> Propagated:
        """The labels with the corrected structures exactly as the user left them."""
        found = propagated.labels.array
        overruled = np.isin(found, self.values) | np.isin(self.labels.array, self.values)
        labels = np.where(overruled, self.labels.array.astype(found.dtype), found)
        return replace(propagated, labels=replace(propagated.labels, array=labels))


def read_earlier(request: Request, inputs: Inputs, progress: Progress) -> tuple[Earlier | None, Corrections | None]:
    """The result that a request goes on from, and what was corrected in it; raises `JobError` as reading them does."""
    if request.continue_from is None:
        return None, None
    earlier = Earlier.read(request.continue_from, inputs)
    if request.corrections is None:
        return earlier, None
    corrections = Corrections.read(request.corrections, request.corrected, inputs, earlier.labels)
    if not corrections.changed.any():
        progress.caution(
            "corrections-none", "The corrected structures are as the earlier result has them: they change nothing."
        )
    return earlier, corrections


def _brought(labels: LabelMap, grid: Grid, path: Path) -> LabelMap:
    """The labels on the target's grid; those of a segmentation may cover a part of it only."""
    found = resample_labels_to(labels, grid)
    if labels.array.any() and not found.array.any():
        raise _invalid(
            f"The corrections {path} do not touch the target.", "Correct the labels of this target's own result."
        )
    return found


def _invalid(message: str, advice: str) -> JobError:
    return JobError(Code.CORRECTIONS_INVALID, message, advice)
