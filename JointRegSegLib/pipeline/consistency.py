"""Making the written inverse fit the written field between its voxels too."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fields import displaced_positions, sample
from ..volumes import Grid
from .placing import slabs

_SLAB_VOXELS = 8_000_000
_PROMISED_MM = 1.0
_ROUNDS = 4
_COUNTED_EVERY = 5
_CAUTIOUS = 0.1
"""Added to the voxels that speak for a correction, so that a far corner of one cell does not move much."""


def fit_inverse(
    back: NDArray[np.float32],
    atlas: Grid,
    field: NDArray[np.float32],
    grid: Grid,
    mask: NDArray[np.bool_],
    device: torch.device,
) -> None:
    """Correct `back` in place so that following `field` and then `back` leads home, as linear interpolation reads it.

    An inverse that is right at its own voxels is wrong between them wherever it bends. What `u(x) + w(x + u(x))`
    leaves at each voxel x of `mask` is shared out to the corners of the cell that x + u(x) lies in, by their weights,
    and taken from them: Landweber's iteration with those weights' sums as preconditioner, once, and up to four times
    where the 99.9th percentile of what was left is above 1 mm.

    Args:
        back: w, LPS mm vectors (k, j, i, 3) on the grid `atlas`.
        field: u, likewise on `grid`.
        mask: where it matters, (k, j, i) on `grid`.
        device: where to compute.
    """
    for _ in range(_ROUNDS):
        if _correct(back, atlas, field, grid, mask, device) < _PROMISED_MM:
            break


def _correct(
    back: NDArray[np.float32],
    atlas: Grid,
    field: NDArray[np.float32],
    grid: Grid,
    mask: NDArray[np.bool_],
    device: torch.device,
) -> float:
    """One step; returns the 99.9th percentile, in mm, of what was left before it."""
    w = torch.from_numpy(back).to(device).permute(3, 0, 1, 2)[None]
    total: Tensor | None = None
    lengths = []
    limits = torch.tensor(atlas.shape)[:, None] - 1
    for part, lattice in slabs(grid, _SLAB_VOXELS):
        chosen = torch.from_numpy(mask[part])
        positions = displaced_positions(field[part], lattice, atlas)[0][:, chosen]
        known = ((positions >= 0) & (positions <= limits)).all(0)
        if known.any():
            places = positions[:, known][None, :, :, None, None].to(device)
            u = torch.from_numpy(field[part])[chosen][known].T.to(device)
            rest = sample(w, places) + u[None, :, :, None, None]
            lengths.append(rest[0, :, ::_COUNTED_EVERY].square().sum(0).sqrt_().flatten())
            shares = _shared_out(torch.cat([rest, torch.ones_like(rest[:, :1])], 1), places, atlas)
            total = shares if total is None else total.add_(shares)
    if total is not None:
        correction, counted = total[0, :3], total[0, 3:]
        back -= correction.div_(counted.add_(_CAUTIOUS)).permute(1, 2, 3, 0).cpu().numpy()
    return _percentile(torch.cat(lengths)) if lengths else 0.0


def _percentile(lengths: Tensor) -> float:
    return float(lengths.kthvalue(max(int(0.999 * lengths.numel()), 1)).values)


def _shared_out(values: Tensor, places: Tensor, grid: Grid) -> Tensor:
    """What `sample` would gather, given back: the transpose of sampling an image on `grid` at the places."""
    with torch.inference_mode(False), torch.enable_grad():
        image = values.new_zeros(1).clone().expand(1, values.shape[1], *grid.shape).requires_grad_()
        # In a row rather than in a column: `sample` would make a copy of the image for each thread.
        gathered = sample(image, places.transpose(2, 4).clone())
        # Of a sum, as autograd loads a symbolic algebra to check the shape of a gradient that it is given.
        (given,) = torch.autograd.grad((gathered * values.transpose(2, 4).clone()).sum(), image)
    return given
