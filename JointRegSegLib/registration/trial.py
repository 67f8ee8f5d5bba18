"""A quick deformation on a coarse grid, to see whether an affine leads anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from JointRegSegLib.fields import affine_positions, apply_matrix, identity, sample, shape_of
from JointRegSegLib.job import Similarity

from .deformable import register
from .descent import combined_weight
from .presets import Level, Preset
from .scan import Scan
from .similarity import LocalCorrelation
from .working import pair_on, working_grid

_QUICK = Preset((Level(2, 20), Level(1, 20)))


def deform_and_refit(target: Scan, atlas: Scan, matrix: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """How well two coarse scans fit after a quick deformation, and the affine nearest to affine and deformation.

    Args:
        target, atlas: the scans on coarse grids.
        matrix: 4x4, target points to atlas points, LPS mm.

    Returns: local correlation where they overlap, 0 to 1, and a 4x4 matrix.
    """
    grid = working_grid(target, float("inf"))
    pair = pair_on(grid, target, atlas, matrix)
    field = register(pair, _QUICK, Similarity.LNCC)
    points = identity(shape_of(field), field)
    pull = LocalCorrelation(pair.fixed, pair.moving, _QUICK.windows)
    score = pull.value(points + field, combined_weight(pair, points + field))
    body = sample(target.foreground, affine_positions(grid, target.grid, np.eye(4), field))[0, 0] > 0.5
    lps = grid.matrix @ np.eye(4)[[2, 1, 0, 3]]
    here = apply_matrix(lps, points)[0][:, body].T.double().cpu().numpy()
    there = apply_matrix(matrix @ lps, points + field)[0][:, body].T.double().cpu().numpy()
    solution = np.linalg.lstsq(np.column_stack([here, np.ones(len(here))]), there, rcond=None)[0]
    refitted = np.eye(4)
    refitted[:3] = solution.T
    return score, refitted
