"""The written inverse is corrected until following both fields leads home."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from JointRegSegLib.fields import displaced_positions, inverse, sample, to_lps
from JointRegSegLib.pipeline.consistency import fit_inverse
from JointRegSegLib.volumes import Grid
from Testing.engine.tensor_cases import smooth_field

_GRID = Grid((44, 40, 36), (2.0, 1.5, 1.5), (10.0, -20.0, 5.0), (1, 0, 0, 0, -1, 0, 0, 0, 1))
_BODY = np.zeros(_GRID.shape, bool)
_BODY[8:-8, 8:-8, 8:-8] = True


def _left(field: NDArray[np.float32], back: NDArray[np.float32]) -> NDArray[np.float64]:
    """Length of u(x) + w(x + u(x)) in mm, inside the body."""
    places = displaced_positions(field, _GRID, _GRID)
    w = sample(torch.from_numpy(back).permute(3, 0, 1, 2)[None], places)[0].permute(1, 2, 3, 0).numpy()
    return np.linalg.norm(field + w, axis=-1)[_BODY]


@pytest.mark.parametrize(("iterations", "rough"), [(12, 0.0), (2, 3.0)])
def test_a_rough_inverse_is_corrected(iterations: int, rough: float) -> None:
    u = smooth_field(_GRID.shape, 5.0, sigma=6.0, dtype=torch.float32)
    field = to_lps(u, _GRID)
    noise = np.random.default_rng(0).normal(size=field.shape).astype(np.float32)
    back = to_lps(inverse(u, iterations), _GRID) + rough * noise
    before = _left(field, back)
    fit_inverse(back, _GRID, field, _GRID, _BODY, torch.device("cpu"))
    after = _left(field, back)
    assert after.mean() <= (0.5 if rough else 1.0) * before.mean()
    assert np.percentile(after, 99.9) < max(1.5, 0.3 * np.percentile(before, 99.9))


def test_an_exact_inverse_stays() -> None:
    field = np.tile(np.float32([2.0, 1.5, -3.0]), (*_GRID.shape, 1))
    back = -field
    fit_inverse(back, _GRID, field, _GRID, _BODY, torch.device("cpu"))
    np.testing.assert_allclose(back, -field, atol=1e-5)
