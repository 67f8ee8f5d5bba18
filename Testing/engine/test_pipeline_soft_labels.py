"""Soft labels: only the box that holds a structure is computed, and nothing is lost by that."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from JointRegSegLib.fields import affine_positions, coarsened, sample
from JointRegSegLib.pipeline.soft_labels import soft_labels
from JointRegSegLib.volumes import Grid, LabelMap, LabelTable
from Testing.engine.registration_cases import turn

_OWN = Grid((30, 34, 28), (1.0, 1.2, 1.5), (-10.0, 4.0, 2.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def _labels() -> LabelMap:
    array = np.zeros(_OWN.shape, np.uint16)
    array[4:12, 5:15, 6:20] = 3
    array[14:26, 10:30, 4:9] = 7
    array[0:3, 0:4, 25:30] = 9
    return LabelMap(array, _OWN, LabelTable())


@pytest.mark.parametrize("spacing", [0.8, 1.5, 4.0])
def test_the_same_as_on_the_whole_grid(spacing: float) -> None:
    labels, like = _labels(), torch.zeros(1)
    matrix = turn((1, 2, 3), 25.0, _OWN.centre)
    size = tuple(int(extent / spacing) for extent in _OWN.extent)
    grid = Grid(size, (spacing,) * 3, _OWN.origin, _OWN.direction)
    found = soft_labels(labels, [(3,), (7, 9), (11,)], grid, matrix, like)
    places = affine_positions(grid, _OWN, matrix, like)
    for channel, values in enumerate([(3,), (7, 9)]):
        mask = torch.from_numpy(np.isin(labels.array, values).astype(np.float32))[None, None]
        whole = sample(coarsened(mask, _OWN.spacing, grid.spacing), places, padding="zeros")
        assert whole.max() > 0.3
        assert (found[:, channel].float() / 255 - whole[:, 0]).abs().max() < 0.01
    assert not found[:, 2].any()
