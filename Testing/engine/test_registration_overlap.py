"""What soft labels pull: the slope of their overlap, and a structure that images do not show brought home."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from JointRegSegLib.fields import gaussian, identity, warp
from JointRegSegLib.job import Similarity
from JointRegSegLib.losses import image_gradient
from JointRegSegLib.registration import Pair, Preset, register
from JointRegSegLib.registration.overlap import LabelOverlap, Together, pull_between
from JointRegSegLib.registration.presets import Level
from JointRegSegLib.volumes import Grid
from Testing.engine.tensor_cases import noise, smooth_field

SHAPE = (26, 30, 34)
QUICK = Preset((Level(2, 20), Level(1, 20)))


def ball(centre: tuple[float, float, float], radius: float, sigma: float = 1.0) -> Tensor:
    """Shares of a ball with a soft border, (1, 1, D, H, W)."""
    away = identity(SHAPE, torch.zeros(1)) - torch.tensor(centre).view(1, 3, 1, 1, 1)
    inside = (away.square().sum(1, keepdim=True).sqrt() < radius).float()
    return gaussian(inside, (sigma, sigma, sigma))


def stored(*shares: Tensor) -> Tensor:
    return (torch.cat(shares, 1) * 255).round().to(torch.uint8)


FIXED = stored(ball((13, 15, 20), 6, 2.5), 0.8 * ball((8, 8, 9), 4, 2.5))
THIN = stored(*(0.4 * noise(SHAPE, 2, 5).float().softmax(1)).split(1, 1))
MOVING = stored(ball((12, 14, 18), 6, 2.5), ball((9, 8, 10), 4, 2.5))


def test_the_force_is_the_slope_of_the_value() -> None:
    pull = LabelOverlap(FIXED, MOVING)
    points = identity(SHAPE, torch.zeros(1))
    force = pull.force(points, None)
    counted = float(pull._counted(points, None).sum())
    for seed in range(3):
        way = smooth_field(SHAPE, 1.0, 5.0, seed, torch.float32)
        # The value's own weights move with the positions; the force takes them as they are.
        ahead, behind = (_squares(pull, points + step * way, points) for step in (0.05, -0.05))
        predicted = float((force * way).sum()) / counted
        assert (ahead - behind) / 0.1 == pytest.approx(predicted, rel=0.05), seed


@pytest.mark.parametrize("few_voxels", [0, 1_000_000])
@pytest.mark.parametrize("swapped", [False, True])
def test_boxes_leave_out_nothing_that_pulls(swapped: bool, few_voxels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels spread thinly over the whole grid on one side, displaced by several voxels: as without any box."""
    monkeypatch.setattr("JointRegSegLib.registration.overlap._FEW_VOXELS", few_voxels)
    monkeypatch.setattr("JointRegSegLib.registration.overlap._LEAST", 1)
    fixed, moving = (MOVING, THIN) if swapped else (THIN, MOVING)
    found, expected = _force_in_boxes_and_everywhere(fixed, moving)
    assert float(expected.abs().max()) > 1e-3
    assert torch.allclose(found, expected, atol=1e-6)


def test_boxes_leave_out_only_what_has_less_than_4_percent() -> None:
    found, expected = _force_in_boxes_and_everywhere(THIN, MOVING)
    missed = (found - expected).abs()
    assert 0.0 < float(missed.max()) < 0.04
    assert float(missed.sum()) < 0.02 * float(expected.abs().sum())


def _force_in_boxes_and_everywhere(fixed: Tensor, moving: Tensor) -> tuple[Tensor, Tensor]:
    field = smooth_field(SHAPE, 4.0, 6.0, 2, torch.float32)
    points = identity(SHAPE, field) + field
    pull = LabelOverlap(fixed, moving)
    warped = warp(moving.float() / 255, field)
    rest = fixed.float() / 255 - warped
    each = [2.0 * rest[:, c : c + 1] * image_gradient(warped[:, c : c + 1]) for c in range(2)]
    return pull.force(points, None), torch.stack(each).sum(0) * pull._counted(points, None)


def _squares(pull: LabelOverlap, positions: Tensor, frozen: Tensor) -> float:
    """The value at some positions with the weights of others."""
    counted = pull._counted(frozen, None)
    fixed, moving = (labels.float() / 255 for labels in (FIXED, MOVING))
    rest = fixed - warp(moving, positions - identity(SHAPE, positions))
    return -float((rest.square() * counted).sum() / counted.sum())


def test_labels_that_agree_pull_nowhere_and_unsure_ones_pull_less() -> None:
    points = identity(SHAPE, torch.zeros(1))
    same = LabelOverlap(MOVING, MOVING)
    assert float(same.force(points, None).abs().max()) < 1e-6
    unsure = stored(0.75 * ball((13, 15, 20), 6))  # half of the way from 1/2 to 1
    sure = stored(ball((13, 15, 20), 6))
    empty = torch.zeros_like(sure)
    weak, strong = (LabelOverlap(labels, empty)._counted(points, None) for labels in (unsure, sure))
    assert float(weak[0, 0, 13, 15, 20]) == pytest.approx(0.5, abs=0.01)
    assert float(strong[0, 0, 13, 15, 20]) == pytest.approx(1.0, abs=0.01)


def test_voxels_without_weight_do_not_pull() -> None:
    weight = torch.ones(1, 1, *SHAPE)
    weight[..., 17:] = 0
    force = LabelOverlap(FIXED, MOVING).force(identity(SHAPE, torch.zeros(1)), weight)
    assert float(force[..., 18:].abs().max()) == 0.0
    assert float(force[..., :16].abs().max()) > 0.01


def test_a_structure_that_the_images_do_not_show_comes_home() -> None:
    flat = 0.5 * torch.ones(1, 1, *SHAPE)
    pair = Pair(flat, flat, None, None, Grid(SHAPE[::-1]), stored(ball((13, 15, 20), 6)), stored(ball((13, 15, 15), 6)))
    assert isinstance(pull_between(pair, Similarity.LNCC, (5,)), Together)
    field = register(pair, QUICK, Similarity.LNCC)
    fixed, moving = (labels.float() / 255 for labels in (pair.fixed_labels, pair.moving_labels))
    before, after = (float((fixed - warp(moving, f)).square().sum()) for f in (torch.zeros_like(field), field))
    assert after < 0.05 * before
    assert float(field[0, 2, 13, 15, 20]) == pytest.approx(-5.0, abs=1.5)
    other_way = register(pair.swapped(), QUICK, Similarity.LNCC)
    assert float((moving - warp(fixed, other_way)).square().sum()) < 0.05 * before


def test_without_labels_on_both_sides_the_images_decide_alone() -> None:
    image = ball((13, 15, 18), 6)
    pair = Pair(image, ball((13, 15, 17), 6), None, None, Grid(SHAPE[::-1]))
    alone = register(pair, QUICK, Similarity.LNCC)
    assert torch.equal(alone, register(replace(pair, fixed_labels=FIXED), QUICK, Similarity.LNCC))
    assert not torch.equal(
        alone, register(replace(pair, fixed_labels=FIXED, moving_labels=MOVING), QUICK, Similarity.LNCC)
    )
