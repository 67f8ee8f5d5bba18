"""Steps 2 and 3: the map between target and atlas, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fields import displacement_lps, identity, inverse, shape_of
from ..job import Request, Similarity
from ..job.request import START_AS_PLACED, START_AUTO
from ..registration import (
    PRESETS,
    Alignment,
    Start,
    align,
    as_placed,
    choose_similarity,
    pair_on,
    pull_of,
    register,
    working_grid,
)
from ..volumes import Grid, read_affine
from .memory import affordable_voxels
from .prepare import Inputs
from .progress import Progress


@dataclass(frozen=True)
class Transform:
    """The map from target to atlas: an affine after a residual displacement on the working grid, and its inverse.

    Attributes:
        affine: 4x4, target points to atlas points, LPS mm.
        residual, residual_inverse: (1, 3, D, H, W) in voxels of `working`, zero at its border.
        working: the grid of the deformable stage.
        similarity: what was compared, and its value before and after (larger is better).
    """

    affine: NDArray[np.float64]
    residual: Tensor
    residual_inverse: Tensor
    working: Grid
    similarity: Similarity
    before: float
    after: float

    def forward(self, grid: Grid) -> NDArray[np.float32]:
        """u with `x_atlas = x_target + u(x_target)`, LPS mm vectors (k, j, i, 3) on a grid in target space."""
        return displacement_lps(self.residual, self.working, grid, np.eye(4), self.affine)

    def backward(self, grid: Grid) -> NDArray[np.float32]:
        """w with `x_target = x_atlas + w(x_atlas)`, LPS mm vectors (k, j, i, 3) on a grid in atlas space."""
        return displacement_lps(self.residual_inverse, self.working, grid, np.linalg.inv(self.affine), np.eye(4))


def align_step(request: Request, inputs: Inputs, progress: Progress) -> Alignment:
    """The affine: searched, or as the request says."""
    given = None
    if request.start == START_AS_PLACED:
        given = as_placed()
    elif request.start != START_AUTO:
        given = Start("the given transform", read_affine(Path(request.start)))
    found = align(inputs.target_scan, inputs.atlas_scan, progress.done, given)
    progress.log(f"The affine started from: {found.start}; local correlation {found.score:.3f}.")
    return found


def register_step(
    request: Request, inputs: Inputs, alignment: Alignment, device: torch.device, progress: Progress
) -> Transform:
    """The deformable stage and its inverse."""
    preset = PRESETS[request.quality]
    grid = working_grid(inputs.target_scan, affordable_voxels(request, inputs, preset, device, progress))
    pair = pair_on(grid, inputs.target_scan, inputs.atlas_scan, alignment.matrix).to(device)
    similarity = request.similarity
    if similarity is Similarity.AUTO:
        similarity, why = choose_similarity(pair)
        progress.log(f"The similarity is {similarity.value}: {why}")
    field = register(pair, preset, similarity, lambda done: progress.done(0.85 * done))
    progress.done(0.85, "inverting the field")
    back = inverse(field)
    pull = pull_of(similarity, pair.fixed, pair.moving, preset.window)
    points = identity(shape_of(field), field)
    before, after = pull.value(points, pair.fixed_weight), pull.value(points + field, pair.fixed_weight)
    return Transform(alignment.matrix, field.cpu(), back.cpu(), grid, similarity, before, after)
