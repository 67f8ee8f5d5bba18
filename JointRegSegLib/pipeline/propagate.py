"""Step 4: the atlas's labels and image in the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..fields import displaced_positions, sample
from ..job import Code, JobError
from ..volumes import LabelMap
from .placing import slabs
from .prepare import Inputs


@dataclass(frozen=True)
class Propagated:
    """On the target's grid.

    Attributes:
        labels: of the structures.
        warped: the atlas image (k, j, i) float32 in its own intensities.
        confidence: how sure labels are that were fused of several opinions, (k, j, i), 0 to 1; else None.
    """

    labels: LabelMap
    warped: NDArray[np.float32]
    confidence: NDArray[np.float32] | None = None


def propagate(inputs: Inputs, field: NDArray[np.float32]) -> Propagated:
    """Carry the atlas along `x_atlas = x_target + u(x_target)` (LPS mm, on the target's grid).

    Raises `JobError` LABELS_NOT_FOUND where no voxel of the target gets a label.
    """
    grid = inputs.target.grid
    labels = np.empty(grid.shape, inputs.labels.array.dtype)
    warped = np.empty(grid.shape, np.float32)
    # float32 holds every label value up to 65535 exactly.
    values, image = (torch.from_numpy(array.astype(np.float32)) for array in (inputs.labels.array, inputs.atlas.array))
    for part, lattice in slabs(grid):
        positions = displaced_positions(field[part], lattice, inputs.atlas.grid)
        labels[part] = sample(values[None, None], positions, mode="nearest", padding="zeros")[0, 0].numpy()
        warped[part] = sample(image[None, None], positions, padding="border")[0, 0].numpy()
    if not labels.any():
        raise JobError(
            Code.LABELS_NOT_FOUND,
            f"None of the atlas's {len(inputs.labels.table)} structures lies in the target.",
            "Check that both scans show the same part of the body; if they do, give a start transform.",
        )
    return Propagated(LabelMap(labels, grid, inputs.labels.table), warped)
