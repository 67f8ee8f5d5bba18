"""Steps 2 and 3: the map between target and atlas, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fields import Matrix, displacement_lps, identity, inverse, shape_of
from ..job import Refinement, Request, Similarity
from ..job.request import START_AS_PLACED, START_AUTO
from ..registration import (
    MARGIN,
    PRESETS,
    Alignment,
    Pair,
    Preset,
    Scan,
    Start,
    align,
    as_placed,
    choose_similarity,
    coarse_spacing,
    combined_weight,
    continue_from,
    fade_beyond,
    pair_on,
    pull_of,
    register,
    search_displacements,
)
from ..volumes import Grid, LabelMap, read_affine
from .earlier import comparison
from .guidance import Guidance
from .memory import Budget
from .placing import slabs
from .progress import Progress

_SEARCHED, _DEFORMED = 0.05, 0.85
"""Share of the step after the search for large displacements, and after the deformation."""

_INVERSE_ITERATIONS = 40
_INVERSE_TOLERANCE = 0.2
"""Voxels at the 99.9th percentile; what is left of it is corrected on the written fields (`fit_inverse`)."""


@dataclass(frozen=True)
class Transform:
    """The map from target to atlas: an affine after a residual displacement on the working grid, and its inverse.

    Attributes:
        affine: 4x4, target points to atlas points, LPS mm.
        residual, residual_inverse: (1, 3, D, H, W) in voxels of `working`, zero at its border.
        working: the grid of the deformable stage.
        similarity: what was compared, and its value before and after (larger is better).
    """

    affine: Matrix
    residual: Tensor
    residual_inverse: Tensor
    working: Grid
    similarity: Similarity
    before: float
    after: float

    def forward(self, grid: Grid) -> NDArray[np.float32]:
        """u with `x_atlas = x_target + u(x_target)`, LPS mm vectors (k, j, i, 3) on a grid in target space."""
        return self._on(grid, self.residual, np.eye(4), self.affine)

    def backward(self, grid: Grid) -> NDArray[np.float32]:
        """w with `x_target = x_atlas + w(x_atlas)`, LPS mm vectors (k, j, i, 3) on a grid in atlas space."""
        return self._on(grid, self.residual_inverse, np.asarray(np.linalg.inv(self.affine), np.float64), np.eye(4))

    def _on(self, grid: Grid, residual: Tensor, before: Matrix, after: Matrix) -> NDArray[np.float32]:
        vectors = np.empty((*grid.shape, 3), np.float32)
        for part, lattice in slabs(grid):
            vectors[part] = displacement_lps(residual, self.working, lattice, before, after)
        return vectors


def align_step(request: Request, target: Scan, atlas: Scan, progress: Progress) -> Alignment:
    """The affine: searched, or as the request says."""
    given = None
    if request.start == START_AS_PLACED:
        given = as_placed()
    elif request.start != START_AUTO:
        given = Start("the given transform", read_affine(Path(request.start)))
    found = align(target, atlas, progress.done, given)
    progress.log(f"The affine started from: {found.start}; local correlation {found.score:.3f}.")
    return found


def register_step(
    request: Request,
    target: Scan,
    atlas: Scan,
    labels: LabelMap,
    alignment: Alignment,
    device: torch.device,
    progress: Progress,
    guidance: Guidance | None = None,
) -> Transform:
    """The deformable stage, and its inverse.

    Args:
        labels: the atlas's.
        guidance: what else is known: it begins with what a trained method proposed, or an earlier result found.
    """
    guidance = guidance or Guidance()
    earlier, preset = guidance.earlier, PRESETS[request.quality]
    budget = Budget.of(request, target, atlas, device, guidance.held_bytes, guidance.soft_labels)
    stage = _Stage(target, atlas, alignment, preset, guidance, progress)
    pair, similarity = stage.pair(request.similarity, budget)
    pair = guidance.on(pair, labels, alignment.matrix).to(device)
    field = stage.field(pair, similarity)
    known = earlier.similarity_before(comparison(request, similarity, pair.grid)) if earlier else None
    before, after = _values(pair, similarity, preset, field, known)
    progress.done(_DEFORMED, "inverting the field")
    grid = pair.grid
    del pair  # the inverse needs its memory
    field, grid = fade_beyond(field, grid, MARGIN)
    nearly = None if earlier is None else earlier.residual_inverse_on(grid).to(device)
    back = inverse(field, _INVERSE_ITERATIONS, _INVERSE_TOLERANCE, nearly)
    return Transform(alignment.matrix, field, back, grid, similarity, before, after)


@dataclass(frozen=True)
class _Stage:
    """What the deformable stage works with."""

    target: Scan
    atlas: Scan
    alignment: Alignment
    preset: Preset
    guidance: Guidance
    progress: Progress

    def pair(self, asked: Similarity, budget: Budget) -> tuple[Pair, Similarity]:
        """Both scans on a working grid that the memory allows, and the similarity to use on them."""
        earlier, most = self.guidance.earlier, self.preset.most_voxels
        wanted = earlier.similarity if earlier and asked is Similarity.AUTO else asked
        planned: Similarity = Similarity.LNCC if wanted is Similarity.AUTO else wanted
        grid = budget.working_grid(self.target, most, planned)
        pair = self._on(grid)
        if wanted is Similarity.AUTO:
            planned, why = choose_similarity(pair, self.alignment.partial)
            self.progress.log(f"The similarity is {planned.value}: {why}")
            affordable = budget.working_grid(self.target, most, planned)
            if affordable != grid:
                grid, pair = affordable, self._on(affordable)
        budget.explain(grid, self.target, most, self.progress)
        return pair, planned

    def field(self, pair: Pair, similarity: Similarity) -> Tensor:
        """The displacement on the working grid."""
        proposal, earlier = self.guidance.proposal, self.guidance.earlier
        if earlier is not None:
            corrections = self.guidance.corrections
            regions = None if corrections is None else corrections.regions_on(pair.grid)
            found = earlier.residual_on(pair.grid).to(pair.fixed.device)
            return continue_from(pair, found, regions, similarity, lambda done: self.progress.done(_DEFORMED * done))
        if proposal is not None and proposal.use.refinement is Refinement.NONE:
            return proposal.field_on(pair.grid).to(pair.fixed.device)
        start, preset, done = self._start(pair)
        left = _DEFORMED - done
        return register(pair, preset, similarity, lambda share: self.progress.done(done + left * share), start)

    def _start(self, pair: Pair) -> tuple[Tensor | None, Preset, float]:
        """The field that the slopes are followed from, by what is left of the preset, and the share of the step done.

        A trained method's field where there is one; large displacements, searched, in parts of long bodies; or none.
        """
        proposal = self.guidance.proposal
        if proposal is not None:
            return proposal.start_on(pair.grid).to(pair.fixed.device), self.preset, 0.0
        if not self.alignment.partial:
            return None, self.preset, 0.0
        coarse = coarse_spacing(self.target)
        found = search_displacements(pair, coarse, lambda done: self.progress.done(_SEARCHED * done))
        self.progress.log("Part of a long body: large displacements were searched before the slopes are followed.")
        return found, self.preset.after_search(coarse / min(pair.grid.spacing)), _SEARCHED

    def _on(self, grid: Grid) -> Pair:
        return pair_on(grid, self.target, self.atlas, self.alignment.matrix)


def _values(
    pair: Pair, similarity: Similarity, preset: Preset, field: Tensor, before: float | None
) -> tuple[float, float]:
    """The similarity before the deformation, unless that is known, and after."""
    pull = pull_of(similarity, pair.fixed, pair.moving, preset.windows)
    points = identity(shape_of(field), field)
    if before is None:
        before = pull.value(points, combined_weight(pair, points))
    points += field
    return before, pull.value(points, combined_weight(pair, points))
