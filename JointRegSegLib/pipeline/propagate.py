"""Step 4: the atlas's labels and image in the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fields import sample
from ..volumes import Grid, LabelMap
from .prepare import Inputs


@dataclass(frozen=True)
class Propagated:
    """On the target's grid: the labels, and the warped atlas image (k, j, i) float32 in its own intensities."""

    labels: LabelMap
    warped: NDArray[np.float32]


def propagate(inputs: Inputs, field: NDArray[np.float32]) -> Propagated:
    """Carry the atlas along `x_atlas = x_target + u(x_target)` (LPS mm, on the target's grid)."""
    positions = atlas_positions(field, inputs.target.grid, inputs.atlas.grid)
    labels = sample(_tensor(inputs.labels.array), positions, mode="nearest", padding="zeros")
    image = sample(_tensor(inputs.atlas.array), positions, padding="border")
    array = labels[0, 0].numpy().astype(inputs.labels.array.dtype)
    return Propagated(LabelMap(array, inputs.target.grid, inputs.labels.table), image[0, 0].numpy())


def atlas_positions(field: NDArray[np.float32], grid: Grid, atlas: Grid) -> Tensor:
    """Where voxels of `grid`, displaced by LPS mm vectors (k, j, i, 3), lie in the atlas: (1, 3, D, H, W) voxels."""
    into = torch.as_tensor(np.linalg.inv(atlas.matrix), dtype=torch.float64)
    index = into[:3, :3] @ torch.as_tensor(grid.matrix[:3, :3])
    start = into[:3, :3] @ torch.as_tensor(grid.matrix[:3, 3]) + into[:3, 3]
    positions = torch.einsum("cx,dhwx->cdhw", into[:3, :3].float(), torch.from_numpy(field))
    for axis, n in enumerate(grid.size):
        shape = [1, 1, 1, 1]
        shape[3 - axis] = n
        steps = index[:, axis][:, None] * torch.arange(n, dtype=torch.float64)
        if axis == 0:
            steps = steps + start[:, None]
        positions += steps.float().view(3, *shape[1:])
    return positions.flip(0)[None]


def _tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]
