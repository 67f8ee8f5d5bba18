"""Landmarks: the field joins them, what lies between goes along, nothing folds, and the error told is the true one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.fields import jacobian_determinant, resize_image, sample
from JointRegSegLib.job import Quality, Similarity
from JointRegSegLib.pipeline.landmarks import LandmarkPairs
from JointRegSegLib.registration import PRESETS, Landmarks, Pair, register
from JointRegSegLib.registration.landmarks import pinned
from JointRegSegLib.volumes import Grid
from Testing.engine.tensor_cases import texture

_SHAPE = (48, 56, 52)
_GRID = Grid((52, 56, 48), (2.0, 2.0, 2.0), (10.0, -20.0, 5.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def _places(count: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(8, np.array(_SHAPE) - 9, (count, 3))


def _at(field: Tensor, places: NDArray[np.float64]) -> NDArray[np.float64]:
    positions = torch.from_numpy(places.T.astype(np.float32).copy())[None, :, :, None, None]
    return sample(field, positions)[0, :, :, 0, 0].T.numpy()


def _error() -> Tensor:
    """A smooth field of about 5 voxels (10 mm) whose vectors differ from corner to corner."""
    corners = torch.randn(1, 3, 2, 2, 2, generator=torch.Generator().manual_seed(3)) + 1.0
    field = resize_image(corners, _SHAPE)
    return field * (5.0 / field.square().sum(1).sqrt().mean())


def _tre(field: Tensor, truth: Tensor, places: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(_at(field, places) - _at(truth, places), axis=1).mean())


def _landmarks(truth: Tensor, places: NDArray[np.float64]) -> Landmarks:
    return Landmarks(places, places + _at(truth, places), _SHAPE)


@pytest.mark.parametrize("count", [1, 2, 10])
def test_the_field_joins_landmarks_and_does_not_fold(count: int) -> None:
    places = _places(count, 0)
    field = pinned(torch.zeros(1, 3, *_SHAPE), _landmarks(_error(), places), wide=True)
    assert _tre(field, _error(), places) < 0.3
    assert jacobian_determinant(field).min() > 0


def test_one_landmark_carries_everything_along_when_wide_and_only_its_surroundings_else() -> None:
    landmarks = Landmarks(np.array([[24.0, 28.0, 26.0]]), np.array([[24.0, 28.0, 29.0]]), _SHAPE)
    everywhere = pinned(torch.zeros(1, 3, *_SHAPE), landmarks, wide=True)
    assert torch.allclose(everywhere[0, 2], torch.full(_SHAPE, 3.0), atol=0.1)
    near = pinned(torch.zeros(1, 3, *_SHAPE), landmarks, wide=False)
    assert near[0, 2, 24, 28, 26] == pytest.approx(3.0, abs=0.1)
    assert near[0, :, 0, 0, 0].abs().max() < 0.01


def test_landmarks_that_are_joined_change_nothing() -> None:
    field = torch.zeros(1, 3, *_SHAPE)
    places = _places(5, 1)
    assert torch.equal(pinned(field, Landmarks(places, places, _SHAPE), wide=True), field)


def test_on_another_grid_landmarks_lie_at_the_same_places() -> None:
    landmarks = _landmarks(_error(), _places(4, 2))
    there = landmarks.at((24, 28, 26))
    assert there.shape == (24, 28, 26)
    assert there.at(_SHAPE).fixed == pytest.approx(landmarks.fixed)
    assert there.fixed[:, 0] == pytest.approx(landmarks.fixed[:, 0] * 23 / 47)
    assert landmarks.swapped().fixed is landmarks.moving


def test_ten_pairs_pull_an_error_of_10_mm_below_2_mm_at_other_points() -> None:
    """Images that tell nothing, so that only the landmarks do: 5 voxels of 2 mm, held-out points among them."""
    truth, places, held_out = _error(), _places(10, 4), _places(40, 5)
    flat = torch.full((1, 1, *_SHAPE), 0.5)
    pair = Pair(flat, flat, None, None, _GRID, landmarks=_landmarks(truth, places))
    field = register(pair, PRESETS[Quality.FAST], Similarity.LNCC)
    assert 2.0 * _tre(torch.zeros_like(field), truth, held_out) > 9.0
    assert 2.0 * _tre(field, truth, places) < 0.5
    assert 2.0 * _tre(field, truth, held_out) < 2.0
    assert jacobian_determinant(field).min() > 0


def test_images_go_on_deciding_where_they_can() -> None:
    """With a texture, held-out points end nearer than landmarks alone bring them."""
    truth, places, held_out = _error(), _places(10, 4), _places(40, 5)
    moving = texture(_SHAPE, seed=1).float()
    points = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in _SHAPE), indexing="ij"))[None]
    pair = Pair(sample(moving, points + truth), moving, None, None, _GRID, landmarks=_landmarks(truth, places))
    both = register(pair, PRESETS[Quality.FAST], Similarity.LNCC)
    pinned_only = pinned(torch.zeros_like(truth), _landmarks(truth, places), wide=True)
    assert _tre(both, truth, held_out) < 0.6 * _tre(pinned_only, truth, held_out)


def test_measures_are_distances_in_mm() -> None:
    """A field of 3 mm along x after an affine that shifts by 1 mm; atlas points 4 mm away: 3 mm off, then 1 mm."""
    target = _GRID.to_lps(_places(6, 7)[:, ::-1])
    affine = np.eye(4)
    affine[0, 3] = 1.0
    field = np.zeros((*_GRID.shape, 3), np.float32)
    field[..., 0] = 3.0
    measures = LandmarkPairs(target, target + np.array([4.0, 0.0, 0.0]), True).measures(affine, field, _GRID)
    assert {m.key: round(m.value, 4) for m in measures} == {
        "landmark_error_before_mm": 3.0,
        "landmark_error_mm": 1.0,
        "landmark_error_max_mm": 1.0,
    }


def test_on_the_working_grid_the_atlas_lies_behind_its_affine() -> None:
    target = _GRID.to_lps(_places(6, 7)[:, ::-1])
    affine = np.eye(4)
    affine[:3, 3] = (30.0, -8.0, 2.0)
    atlas = (affine @ np.vstack([target.T, np.ones(6)]))[:3].T
    marks = LandmarkPairs(target, atlas, True).on(_GRID, affine)
    assert marks is not None
    assert marks.fixed == pytest.approx(_places(6, 7))
    assert marks.moving == pytest.approx(marks.fixed)
    assert LandmarkPairs(target, atlas, False).on(_GRID, affine) is None
