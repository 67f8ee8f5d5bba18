"""The grid that the deformable stage works on, and the two scans on it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.fields import affine_positions, sample, shape_of
from JointRegSegLib.volumes.grid import Grid

from .affine import inside
from .pair import Pair
from .scan import Scan, coarser_shape

MARGIN = 8


def working_grid(target: Scan, most_voxels: float) -> Grid:
    """The target's voxels around its foreground with a margin, coarser where they would be more than `most_voxels`.

    The margin may reach beyond the target. Coarsening equalises the spacing of the axes first.
    """
    mask = target.foreground[0, 0].cpu().numpy() > 0.5
    bounds = []
    for axis in range(3):
        filled = np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis)))
        bounds.append((int(filled[0]) - MARGIN, int(filled[-1]) + 1 + MARGIN))
    (d0, d1), (h0, h1), (w0, w1) = bounds
    native = target.grid.box((w0, h0, d0), (w1 - w0, h1 - h0, d1 - d0))
    shape, mm = native.shape, min(native.spacing)
    while float(np.prod(shape)) > most_voxels:
        mm *= 1.05
        shape = coarser_shape(native, mm)
    return native.resized((shape[2], shape[1], shape[0]))


def pair_on(grid: Grid, target: Scan, atlas: Scan, matrix: NDArray[np.float64]) -> Pair:
    """Both scans on the working grid, the atlas through the affine (target to atlas, LPS mm)."""
    fixed, fixed_weight = _on(grid, target, np.eye(4))
    moving, moving_weight = _on(grid, atlas, matrix)
    return Pair(fixed, moving, fixed_weight, moving_weight, grid)


def _on(grid: Grid, scan: Scan, matrix: NDArray[np.float64]) -> tuple[Tensor, Tensor | None]:
    step = max(scan.grid.spacing)
    coarseness = min(grid.spacing) / step
    source = scan if coarseness < 1.5 else scan.at_spacing(min(grid.spacing))
    positions = affine_positions(grid, source.grid, matrix, source.image)
    image = sample(source.image, positions)
    if not scan.cut and source.weight is None:
        return image, None
    weight = inside(positions, shape_of(source.image)) if scan.cut else torch.ones_like(image)
    if source.weight is not None:
        weight = weight * sample(source.weight, positions)
    return image, weight
