"""The search for the affine: many starts, the best improved, doubtful cases decided by deforming."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .affine import AffineProblem, Stage
from .scan import Scan
from .starts import Start, all_starts
from .trial import deform_and_refit

_FINALISTS, _FINALISTS_PARTIAL = 3, 12
_SAME_MM, _SAME_SHAPE = 8.0, 0.05


@dataclass(frozen=True)
class Alignment:
    """The best affine.

    Attributes:
        matrix: target points to atlas points (4x4, LPS mm).
        start: where the search began, in words.
        score: local correlation, 0 to 1.
        partial: whether a scan shows only part of a long body, so that organs may still lie far apart.
    """

    matrix: NDArray[np.float64]
    start: str
    score: float
    partial: bool = False


def align(
    target: Scan, atlas: Scan, on_step: Callable[[float], None] = lambda done: None, given: Start | None = None
) -> Alignment:
    """The affine that best matches two scans, from many starts, or from the one that is given.

    All starts are scored on a coarse grid, the best few that differ are improved there, first rigid, then affine, and
    the winner is refined on a grid of half the voxel size. Where a scan shows only part of a long body, the affine's
    score does not tell which part matches: there every finalist is deformed quickly, the one that then fits best
    wins, and the affine is refitted to its deformation.

    Args:
        target, atlas: the scans.
        on_step: told the share of the work done, 0 to 1; may raise to stop.
        given: the only start, or None to search.
    """
    mm = coarse_spacing(target)
    target, atlas = target.at_spacing(mm / 2), atlas.at_spacing(mm / 2)
    coarse = AffineProblem(target, atlas, mm)
    if given is None:
        starts, partial = all_starts(coarse.target, coarse.atlas)
    else:
        starts, partial = [given], False
    ranked = sorted(starts, key=lambda start: -coarse.score(start.matrix))
    ranked = ranked[: _FINALISTS_PARTIAL if partial else _FINALISTS]
    found: list[Alignment] = []
    for index, start in enumerate(ranked):
        on_step(0.1 + (0.3 if partial else 0.6) * index / len(ranked))
        matrix = coarse.ascend(start.matrix, Stage(24, 1.0 * mm, 0.1 * mm, rigid=True))
        matrix = coarse.ascend(matrix, Stage(24, 0.5 * mm, 0.05 * mm, rigid=False))
        if not any(_alike(matrix, other.matrix) for other in found):
            found.append(Alignment(matrix, start.name, coarse.score(matrix)))
    if partial:
        return _decide_by_deforming(coarse, found, on_step)
    best = max(found, key=lambda alignment: alignment.score)
    on_step(0.7)
    fine = AffineProblem(target, atlas, mm / 2)
    matrix = fine.ascend(best.matrix, Stage(30, 0.25 * mm, 0.02 * mm, rigid=False))
    return Alignment(matrix, best.start, fine.score(matrix))


def likeness(target: Scan, atlas: Scan, matrix: NDArray[np.float64], mm: float) -> float:
    """Local correlation at `mm` spacing, 0 to 1, a few steps from an affine (target to atlas, LPS mm).

    For affines that are composed from others: the steps make up for what that costs.
    """
    problem = AffineProblem(target, atlas, mm)
    return problem.score(problem.ascend(matrix, Stage(4, 0.1 * mm, 0.02 * mm, rigid=False)))


def affine_spacing(target: Scan) -> float:
    """Voxel size in mm of the last refinement, at which affines are scored."""
    return coarse_spacing(target) / 2


def coarse_spacing(target: Scan) -> float:
    """Voxel size in mm of the search, from the size of the body: 8 mm for a head or a trunk, less for a crop."""
    return float(np.clip(np.linalg.norm(target.centre_and_spread()[1]) / 9.0, 2.0 * min(target.grid.spacing), 8.0))


def _decide_by_deforming(problem: AffineProblem, found: list[Alignment], on_step: Callable[[float], None]) -> Alignment:
    tried = []
    for index, alignment in enumerate(found):
        on_step(0.4 + 0.6 * index / len(found))
        score, matrix = deform_and_refit(problem.target, problem.atlas, alignment.matrix)
        tried.append((score, Alignment(matrix, alignment.start, problem.score(matrix), partial=True)))
    return max(tried, key=lambda pair: pair[0])[1]


def _alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    difference = np.abs(a - b)
    return bool(difference[:3, 3].max() < _SAME_MM and difference[:3, :3].max() < _SAME_SHAPE)
