"""Step 1: read and check the inputs, find the bodies, scale the intensities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..job import Code, JobError, Request
from ..registration import Scan
from ..volumes import (
    Grid,
    LabelMap,
    Volume,
    canonical,
    find_foreground,
    read_label_map,
    read_mask,
    read_volume,
    resample_labels_to,
    resample_volume_to,
    scaled_intensities,
)
from .progress import Progress

_LEAST_INSIDE = 0.5


@dataclass(frozen=True)
class Inputs:
    """What a run works on.

    Attributes:
        target, atlas: the images as they were read.
        labels: the atlas's labels, on the atlas's grid.
        target_scan, atlas_scan: the same for the registration, in canonical axis order.
    """

    target: Volume
    atlas: Volume
    labels: LabelMap
    target_scan: Scan
    atlas_scan: Scan


def prepare(request: Request, progress: Progress) -> Inputs:
    """Read everything the request names. Raises `JobError` for input that cannot be used."""
    chosen = request.atlases[0]
    atlas = read_volume(chosen.image)
    labels = _labels_on(read_label_map(chosen.labels, chosen.table), atlas.grid, chosen.labels, progress)
    progress.done(0.5)
    target = read_volume(request.target)
    atlas_scan = _scan(atlas, chosen.mask)
    target_scan = _scan(target, request.target_mask)
    return Inputs(target, atlas, labels, target_scan, atlas_scan)


def _labels_on(labels: LabelMap, grid: Grid, path: Path, progress: Progress) -> LabelMap:
    """The labels on the atlas's own grid; refused where they lie in another space."""
    if labels.grid.same_as(grid):
        return labels
    labelled = np.argwhere(labels.array > 0)[:, ::-1]
    index = grid.to_index(labels.grid.to_lps(labelled))
    share = float(np.mean(((index > -1) & (index < np.asarray(grid.size))).all(1)))
    if share < _LEAST_INSIDE:
        raise JobError(
            Code.LABELS_ELSEWHERE,
            f"Only {share:.0%} of the labelled voxels in {path} lie inside the atlas image.",
            "Choose the labels that belong to this atlas, in the same space.",
        )
    progress.caution("labels-resampled", "The atlas's labels were on another grid and were resampled to the image's.")
    return resample_labels_to(labels, grid)


def _scan(volume: Volume, mask: Path | None) -> Scan:
    volume = canonical(volume)
    foreground = find_foreground(volume)
    weight = None if mask is None else _weight(mask, volume.grid)
    return Scan(
        _tensor(scaled_intensities(volume, foreground)),
        _tensor(foreground.mask),
        weight,
        volume.grid,
        foreground.cut,
    )


def _weight(path: Path, grid: Grid) -> Tensor:
    mask = resample_volume_to(read_mask(path), grid).array
    if not mask.any():
        raise JobError(
            Code.MASK_ELSEWHERE,
            f"The mask {path} does not touch its image.",
            "Choose a mask in the same space as the image; voxels above 0 are compared.",
        )
    return _tensor(mask)


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]
