"""The deformable stage: known displacements come back, labels meet, nothing folds, and what is masked is not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from JointRegSegLib.fields import affine_positions, jacobian_determinant, sample, shape_of, warp
from JointRegSegLib.job import Quality, Similarity
from JointRegSegLib.losses import FixedMoments, lncc, mean_squares, mind_features, mutual_information
from JointRegSegLib.registration import PRESETS, Pair, fade_beyond, pair_on, register, working_grid
from JointRegSegLib.registration.deformable import LEAST_SIDE, level_shape, usable_levels
from JointRegSegLib.registration.unfold import unfold
from JointRegSegLib.volumes import Grid
from Testing.engine.registration_cases import known_pair, labelled_phantom, phantom_scans
from Testing.engine.tensor_cases import inner, largest, smooth_field, texture

FAST = PRESETS[Quality.FAST]
SIMILARITIES = [Similarity.LNCC, Similarity.MSE, Similarity.MI, Similarity.MIND]


def _lengths(field: Tensor) -> Tensor:
    return field.square().sum(1).sqrt()


def _likeness(similarity: Similarity, fixed: Tensor, warped: Tensor) -> float:
    """The similarity in its own measure; larger is better."""
    if similarity is Similarity.LNCC:
        return float(lncc(FixedMoments.of(fixed, 7), warped))
    if similarity is Similarity.MSE:
        return -float(mean_squares(fixed, warped))
    if similarity is Similarity.MI:
        return float(mutual_information(fixed, warped))
    return -float(mean_squares(mind_features(fixed), mind_features(warped)))


def _inverted(pair: Pair) -> Pair:
    """The target with its contrast turned round inside the body."""
    return replace(pair, fixed=torch.where(pair.fixed > 0.15, 1.1 - pair.fixed, pair.fixed))


@pytest.mark.parametrize("quality", [Quality.FAST, Quality.NORMAL])
@pytest.mark.parametrize("similarity", [Similarity.LNCC, Similarity.MSE])
def test_a_known_displacement_comes_back(similarity: Similarity, quality: Quality) -> None:
    """Up to 4 voxels, to a third of a voxel on average away from the border, where the field has to end."""
    pair, truth = known_pair()
    field = register(pair, PRESETS[quality], similarity)
    assert field.shape == truth.shape
    assert inner(_lengths(truth), 8).mean() > 1.2
    assert inner(_lengths(field - truth), 8).mean() < 0.35
    assert jacobian_determinant(field).min() > 0.0


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_every_similarity_improves_itself_and_the_labels(similarity: Similarity) -> None:
    case = labelled_phantom()
    field = register(case.pair, FAST, similarity)
    nothing = torch.zeros_like(field)
    before = _likeness(similarity, case.pair.fixed, case.pair.moving)
    assert _likeness(similarity, case.pair.fixed, warp(case.pair.moving, field)) > before
    assert case.overlap(field) > case.overlap(nothing) + 0.1
    assert jacobian_determinant(field).min() > 0.0


@pytest.mark.parametrize("similarity", [Similarity.MI, Similarity.MIND])
def test_the_other_contrast_is_registered_by_what_can(similarity: Similarity) -> None:
    case = labelled_phantom()
    pair = _inverted(case.pair)
    field = register(pair, FAST, similarity)
    assert case.overlap(field) > case.overlap(torch.zeros_like(field)) + 0.1


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_what_is_alike_stays(similarity: Similarity) -> None:
    pair = labelled_phantom().pair
    field = register(replace(pair, moving=pair.fixed), FAST, similarity)
    assert _lengths(field).mean() < 0.2
    air = torch.zeros_like(pair.fixed)
    assert largest(register(replace(pair, fixed=air, moving=air), FAST, similarity)) == 0.0


def test_a_fold_is_mended_where_it_is() -> None:
    """A crease of a few voxels goes; far from it not a bit changes, and a sound field is left alone."""
    field = smooth_field((24, 24, 24), 1.0, 4.0, dtype=torch.float32)
    assert torch.equal(unfold(field), field)
    creased = field.clone()
    creased[:, 0, 11] += 2.5
    creased[:, 0, 12] -= 2.5
    assert jacobian_determinant(creased).min() < 0.0
    mended = unfold(creased)
    assert jacobian_determinant(mended).min() >= 0.05
    spot = torch.zeros_like(field)
    spot[:, 0, 11, 12, 12], spot[:, 0, 12, 12, 12] = 3.0, -3.0
    assert torch.equal(unfold(field + spot)[..., :4], field[..., :4])


def test_a_field_ends_beyond_its_grid() -> None:
    """Large displacements at the border are continued outside it and end there, without folding."""
    own = smooth_field((24, 30, 26), 4.0, 4.0, dtype=torch.float32) + 3.0
    grid = Grid((26, 30, 24), (1.0, 2.0, 1.5), (5.0, 6.0, 7.0))
    field, larger = fade_beyond(own, grid, 0)
    start = [round(float(v)) for v in larger.to_index(grid.origin)]
    inside = field[:, :, start[2] : start[2] + 24, start[1] : start[1] + 30, start[0] : start[0] + 26]
    assert torch.equal(inside, own)
    assert jacobian_determinant(field).min() > 0.0
    for axis in range(2, 5):
        for end in (0, field.shape[axis] - 1):
            assert (field.select(axis, end) == 0).all()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_nothing_folds_even_where_the_affine_was_wrong(similarity: Similarity) -> None:
    """As the headers place them the two heads lie 18 mm apart, and large displacements reach the border."""
    target, atlas = phantom_scans()
    field = register(pair_on(working_grid(target, 1e6), target, atlas, np.eye(4)), FAST, similarity)
    assert largest(field) > 3.0
    assert jacobian_determinant(fade_beyond(field, Grid(tuple(field.shape[:1:-1])), 0)[0]).min() > 0.0


@pytest.mark.parametrize("similarity", [Similarity.LNCC, Similarity.MSE])
def test_a_masked_lesion_changes_hardly_anything(similarity: Similarity) -> None:
    """A bright block in the target, with some room to the edge of the mask; coarser voxels still mix the two."""
    case = labelled_phantom()
    weight, drawn = torch.ones_like(case.pair.fixed), case.pair.fixed.clone()
    weight[..., 24:42, 30:48, 22:40] = 0.0
    drawn[..., 28:38, 34:44, 26:36] = 1.2
    plain = register(replace(case.pair, fixed_weight=weight), FAST, similarity)
    masked = register(replace(case.pair, fixed=drawn, fixed_weight=weight), FAST, similarity)
    seen = register(replace(case.pair, fixed=drawn), FAST, similarity)
    unseen = register(case.pair, FAST, similarity)
    assert largest(seen - unseen) > 2.0
    assert largest(masked - plain) < 0.5 * largest(seen - unseen)
    assert _lengths(masked - plain).mean() < _lengths(seen - unseen).mean()


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_where_nothing_counts_nothing_moves(similarity: Similarity) -> None:
    pair, _ = known_pair()
    nowhere = replace(pair, fixed_weight=torch.zeros_like(pair.fixed))
    assert largest(register(nowhere, FAST, similarity)) == 0.0
    nowhere = replace(pair, moving_weight=torch.zeros_like(pair.fixed))
    assert largest(register(nowhere, FAST, similarity)) == 0.0


def test_progress_rises_and_raising_stops() -> None:
    pair, _ = known_pair()
    told: list[float] = []
    register(pair, FAST, Similarity.MSE, told.append)
    assert told == sorted(told)
    assert len(told) >= 10
    assert told[0] < 0.1
    assert 0.8 < told[-1] <= 1.0

    def stop(done: float) -> None:
        told.append(done)
        if done > 0.3:
            raise InterruptedError

    told.clear()
    with pytest.raises(InterruptedError):
        register(pair, FAST, Similarity.MSE, stop)
    assert len([done for done in told if done > 0.3]) == 1


def test_a_start_is_continued() -> None:
    pair, truth = known_pair()
    one_level = replace(FAST, levels=FAST.levels[-1:])
    cold = register(pair, one_level, Similarity.LNCC)
    warm = register(pair, one_level, Similarity.LNCC, start=truth)
    assert inner(_lengths(warm - truth), 8).mean() < 0.7 * inner(_lengths(cold - truth), 8).mean()
    smaller = truth[..., ::2, ::2, ::2] / 2
    assert register(pair, one_level, Similarity.LNCC, start=smaller).shape == truth.shape


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_the_same_pair_gives_the_same_bits(similarity: Similarity) -> None:
    pair, _ = known_pair()
    assert torch.equal(register(pair, FAST, similarity), register(pair, FAST, similarity))


GRIDS = {
    "a brain": Grid((182, 218, 182)),
    "thick slices": Grid((256, 256, 22), (0.9, 0.9, 6.0)),
    "a long trunk": Grid((180, 130, 400), (2.0, 2.0, 1.0)),
    "a crop": Grid((35, 51, 35)),
    "a small crop": Grid((12, 40, 17), (1.0, 0.7, 1.3)),
    "a tiny crop": Grid((7, 6, 9)),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("quality", list(Quality))
def test_levels_suit_the_grid(quality: Quality, name: str) -> None:
    """Coarse to fine, never finer than the grid, never under 8 voxels along a side unless the grid itself is."""
    grid, preset = GRIDS[name], PRESETS[quality]
    levels = usable_levels(grid, preset)
    shapes = [level_shape(grid, level) for level in levels]
    left_out, first, *rest = preset.levels[: -len(levels)], *preset.levels[-len(levels) :]
    assert levels == [replace(first, steps=max(level.steps for level in (*left_out, first))), *rest]
    assert shapes[-1] == grid.shape
    assert shapes == sorted(shapes, key=np.prod)
    for level, shape in zip(levels, shapes, strict=True):
        assert all(n <= most for n, most in zip(shape, grid.shape, strict=True))
        assert min(shape) >= min(LEAST_SIDE, *grid.shape)
        mm = [extent / n for extent, n in zip(reversed(grid.extent), shape, strict=True)]
        wanted = [max(level.shrink * min(grid.spacing), spacing) for spacing in reversed(grid.spacing)]
        assert mm == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(
    "grid", [Grid((17, 40, 12), (1.0, 0.7, 1.3)), Grid((40, 44, 10), (1.0, 1.0, 5.0)), Grid((7, 6, 9))]
)
def test_small_and_anisotropic_grids_are_registered(grid: Grid) -> None:
    moving = texture(grid.shape, 2.0, seed=3, dtype=torch.float32)
    fixed = warp(moving, smooth_field(grid.shape, 2.5, 3.0, dtype=torch.float32))
    pair = Pair(fixed, moving, None, None, grid)
    field = register(pair, FAST, Similarity.MSE)
    assert shape_of(field) == grid.shape
    assert torch.isfinite(field).all()
    assert mean_squares(fixed, warp(moving, field)) < 0.9 * mean_squares(fixed, moving)
    assert jacobian_determinant(field).min() > 0.0


def test_a_coarser_pair_spans_the_same_box() -> None:
    pair = replace(labelled_phantom().pair, fixed_weight=torch.ones(1, 1, *shape_of(labelled_phantom().pair.fixed)))
    coarse = pair.at((20, 24, 18))
    assert shape_of(coarse.fixed) == shape_of(coarse.moving) == (20, 24, 18)
    assert coarse.grid.shape == (20, 24, 18)
    assert np.allclose(coarse.grid.centre, pair.grid.centre)
    assert coarse.fixed_weight is not None
    assert torch.allclose(coarse.fixed_weight, torch.ones(1))
    assert coarse.moving_weight is None
    there = sample(pair.fixed, affine_positions(coarse.grid, pair.grid, np.eye(4), pair.fixed))
    assert np.corrcoef(coarse.fixed.flatten(), there.flatten())[0, 1] > 0.9
