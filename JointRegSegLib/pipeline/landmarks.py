"""Landmarks of a run: read, checked, brought onto the working grid, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..fields import Matrix, sample
from ..job import Atlas, Code, JobError, LandmarkUse, Measure, Request
from ..registration import Landmarks
from ..volumes import Grid, paired, read_points

_BESIDE_MM = 5.0


@dataclass(frozen=True)
class LandmarkPairs:
    """The same points in both scans.

    Attributes:
        target, atlas: (n, 3), LPS mm.
        pull: whether the registration has to join them.
    """

    target: NDArray[np.float64]
    atlas: NDArray[np.float64]
    pull: bool

    def on(self, grid: Grid, affine: Matrix) -> Landmarks | None:
        """In voxels of a grid in target space, the atlas behind its affine (target to atlas); None where none pulls."""
        if not self.pull:
            return None
        behind = np.linalg.inv(affine) @ np.vstack([self.atlas.T, np.ones(len(self.atlas))])
        fixed, moving = (grid.to_index(points)[:, ::-1].copy() for points in (self.target, behind[:3].T))
        return Landmarks(fixed, moving, grid.shape)

    def measures(self, affine: Matrix, field: NDArray[np.float32], grid: Grid) -> tuple[Measure, ...]:
        """Target registration error after the affine, and after the field (LPS mm vectors (k, j, i, 3) on `grid`)."""
        moved = (affine @ np.vstack([self.target.T, np.ones(len(self.target))]))[:3].T
        index = torch.from_numpy(grid.to_index(self.target)[:, ::-1].T.astype(np.float32).copy())
        u = sample(torch.from_numpy(field).permute(3, 0, 1, 2)[None], index[None, :, :, None, None])
        before = np.linalg.norm(moved - self.atlas, axis=1)
        after = np.linalg.norm(self.target + u[0, :, :, 0, 0].T.numpy() - self.atlas, axis=1)
        return (
            Measure("landmark_error_before_mm", "landmarks, error after the affine", float(before.mean()), "mm"),
            Measure("landmark_error_mm", "landmarks, error", float(after.mean()), "mm"),
            Measure("landmark_error_max_mm", "landmarks, largest error", float(after.max()), "mm"),
        )


def read_landmarks(request: Request, atlas: Atlas, target_grid: Grid, atlas_grid: Grid) -> LandmarkPairs | None:
    """The landmarks that a request names for an atlas, or None.

    Raises `JobError`: FILE_MISSING; LANDMARKS_INVALID where a file cannot be read, points do not go together, or one
    lies outside its scan.
    """
    if request.landmarks is None or atlas.landmarks is None:
        return None
    target, there = read_points(request.landmarks), read_points(atlas.landmarks)
    _require_inside(target.lps, target_grid, request.landmarks)
    _require_inside(there.lps, atlas_grid, atlas.landmarks)
    return LandmarkPairs(*paired(target, there), request.landmark_use is LandmarkUse.CONSTRAIN)


def _require_inside(points: NDArray[np.float64], grid: Grid, path: Path) -> None:
    index = grid.to_index(points)
    beside = _BESIDE_MM / np.asarray(grid.spacing)
    outside = ((index < -0.5 - beside) | (index > np.asarray(grid.size) - 0.5 + beside)).any(1)
    if outside.any():
        raise JobError(
            Code.LANDMARKS_INVALID,
            f"{int(outside.sum())} of {len(points)} landmarks in {path} lie outside the scan they belong to.",
            "Check that the points were placed in this scan, and that it lies where it did then.",
        )
