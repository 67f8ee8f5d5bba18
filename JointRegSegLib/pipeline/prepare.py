"""Step 1: read and check the inputs, find the bodies, scale the intensities."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..job import Code, JobError, Request
from ..registration import Scan
from ..volumes import (
    Foreground,
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
from .landmarks import LandmarkPairs, read_landmarks
from .progress import Progress

_LEAST_INSIDE = 0.5
_SAMPLE = 200_000


@dataclass(frozen=True)
class Inputs:
    """What a run works on, all in canonical axis order: however a file orders its axes, the numbers are the same.

    Attributes:
        target, atlas: the images.
        labels: the atlas's labels, on the atlas's grid.
        body: the target's foreground, (k, j, i).
        target_grid, atlas_grid: the grids in the axis order of the files, which is the result's.
        landmarks: points in both, or None.
    """

    target: Volume
    atlas: Volume
    labels: LabelMap
    body: NDArray[np.bool_]
    target_grid: Grid
    atlas_grid: Grid
    landmarks: LandmarkPairs | None = None

    @cached_property
    def digests(self) -> dict[str, str]:
        """What a result tells its scans from others on the same voxels by."""
        arrays = {"target_digest": self.target.array, "atlas_digest": self.atlas.array}
        return {name: hashlib.sha256(array.data).hexdigest()[:16] for name, array in arrays.items()}


def prepare(request: Request, progress: Progress) -> tuple[Inputs, Scan, Scan]:
    """Read everything the request names: the inputs, and target and atlas as the registration sees them.

    Raises `JobError` for input that cannot be used.
    """
    chosen = request.atlases[0]
    atlas_file = read_volume(chosen.image)
    atlas = _ordered(atlas_file)
    progress.done(0.2)
    labels = _labels_on(read_label_map(chosen.labels, chosen.table), atlas.grid, chosen.labels, progress)
    progress.done(0.4)
    atlas_scan, _ = _scan(atlas, chosen.mask)
    progress.done(0.6)
    target_file = read_volume(request.target)
    target = _ordered(target_file)
    progress.done(0.8)
    target_scan, found = _scan(target, request.target_mask)
    landmarks = read_landmarks(request, chosen, target.grid, atlas.grid)
    inputs = Inputs(target, atlas, labels, found.mask, target_file.grid, atlas_file.grid, landmarks)
    return inputs, target_scan, atlas_scan


def read_scan(path: Path) -> Scan:
    """One scan by itself, as `prepare` makes it; `JobError` where it cannot be used."""
    return _scan(_ordered(read_volume(path)), None)[0]


def _ordered(volume: Volume) -> Volume:
    view = canonical(volume)
    return Volume(np.ascontiguousarray(view.array), view.grid)


def _labels_on(labels: LabelMap, grid: Grid, path: Path, progress: Progress) -> LabelMap:
    """The labels on the atlas's own grid; refused where they lie in another space."""
    labels = canonical(labels)
    if labels.grid.same_as(grid):
        return LabelMap(np.ascontiguousarray(labels.array), grid, labels.table)
    labelled = np.flatnonzero(labels.array)
    some = np.unravel_index(labelled[:: max(1, labelled.size // _SAMPLE)], labels.array.shape)
    index = grid.to_index(labels.grid.to_lps(np.stack(some[::-1], 1)))
    share = float(np.mean(((index > -1) & (index < np.asarray(grid.size))).all(1)))
    if share < _LEAST_INSIDE:
        raise JobError(
            Code.LABELS_ELSEWHERE,
            f"Only {share:.0%} of the labelled voxels in {path} lie inside the atlas image.",
            "Choose the labels that belong to this atlas, in the same space.",
        )
    progress.caution("labels-resampled", "The atlas's labels were on another grid and were resampled to the image's.")
    return resample_labels_to(labels, grid)


def _scan(volume: Volume, mask_path: Path | None) -> tuple[Scan, Foreground]:
    mask = None if mask_path is None else _mask(mask_path, volume.grid)
    if mask is not None:
        # What must not be compared, metal say, must not decide what is body and what is bright either.
        compared = volume.array[mask]
        low, high = float(compared.min()), float(compared.max())
        if low == high:
            raise JobError(
                Code.IMAGE_EMPTY,
                f"All voxels that the mask {mask_path} leaves to compare are {low:g}.",
                "Mark the voxels to compare with 1, those to leave out with 0.",
            )
        volume = Volume(np.clip(volume.array, low, high), volume.grid)
    found = find_foreground(volume)
    image = _tensor(scaled_intensities(volume, found))
    weight = None if mask is None else _tensor(mask)
    return Scan(image, _tensor(found.mask), weight, volume.grid, found.cut), found


def _mask(path: Path, grid: Grid) -> NDArray[np.bool_]:
    mask = resample_volume_to(read_mask(path), grid).array
    if not mask.any():
        raise JobError(
            Code.MASK_ELSEWHERE,
            f"The mask {path} does not touch its image.",
            "Choose a mask in the same space as the image; voxels above 0 are compared.",
        )
    return mask


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]
