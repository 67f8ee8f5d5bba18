"""Large displacements by discrete search: beyond the reach of slopes, in any contrast, blind to what is hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from JointRegSegLib.fields import resize_field, warp
from JointRegSegLib.job import Quality, Similarity
from JointRegSegLib.registration import PRESETS, Pair, choose_similarity, search_displacements
from JointRegSegLib.volumes import Grid
from Testing.engine.tensor_cases import inner, largest, noise, smooth_field, texture

_SHAPE = (48, 52, 56)
_GRID = Grid((56, 52, 48), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
_COARSE_MM = 3.0


def _image() -> Tensor:
    return texture(_SHAPE, sigma=3.0, dtype=torch.float32)


def _pair(fixed: Tensor, moving: Tensor) -> Pair:
    return Pair(fixed, moving, None, None, _GRID)


def _found(pair: Pair) -> Tensor:
    return resize_field(search_displacements(pair, _COARSE_MM), _SHAPE)


def test_equal_images_do_not_move() -> None:
    assert largest(_found(_pair(_image(), _image()))) < 1e-6


@pytest.mark.parametrize("contrast", [lambda x: x, lambda x: 1 - x, lambda x: 0.3 + 0.5 * x])
def test_a_far_shift_is_found_in_any_contrast(contrast: object) -> None:
    assert callable(contrast)
    moving = _image()
    shift = torch.tensor([9.0, -6.0, 12.0]).view(1, 3, 1, 1, 1)
    fixed = warp(moving, shift.expand(1, 3, *_SHAPE))
    found = inner(_found(_pair(contrast(fixed), moving)), 14)
    assert float((found - shift).square().sum(1).sqrt().mean()) < 1.0


def test_a_far_smooth_deformation_is_mostly_found() -> None:
    moving = _image()
    true = smooth_field(_SHAPE, 12.0, sigma=9.0, dtype=torch.float32)
    found = _found(_pair(warp(moving, true), moving))
    length = true.square().sum(1).sqrt()
    far = length > 6.0
    left = (found - true).square().sum(1).sqrt()
    assert float(left[far].mean()) < 0.4 * float(length[far].mean())


def test_what_is_hidden_in_the_moving_image_changes_nothing() -> None:
    moving = _image()
    known = torch.ones_like(moving)
    known[..., :14] = 0
    noisy = torch.where(known > 0, moving, noise(_SHAPE, dtype=torch.float32))
    pairs = [replace(_pair(_image(), image), moving_weight=known) for image in (moving, noisy)]
    far = [inner(_found(pair), 6)[..., 20:] for pair in pairs]
    assert largest(far[0] - far[1]) < 1.0


def test_stopping_reaches_the_caller() -> None:
    def stop(done: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        search_displacements(_pair(_image(), _image()), _COARSE_MM, stop)


@pytest.mark.parametrize("quality", list(Quality))
@pytest.mark.parametrize("shrink", [3.0, 6.5, 11.0])
def test_after_the_search_levels_go_on_from_what_it_found(quality: Quality, shrink: float) -> None:
    preset = PRESETS[quality].after_search(shrink)
    shrinks = [level.shrink for level in preset.levels]
    assert shrinks == sorted(shrinks, reverse=True)
    assert shrinks[0] < shrink
    assert preset.levels[-1] == PRESETS[quality].levels[-1]
    assert [level.steps for level in preset.levels[:2]] == [level.steps for level in PRESETS[quality].levels[:2]]


def test_other_contrast_in_parts_of_long_bodies_is_left_to_self_similarity() -> None:
    image = _image()
    other = (image - image.median()).abs() * 2
    assert choose_similarity(_pair(image, other), partial=False)[0] is Similarity.MI
    assert choose_similarity(_pair(image, other), partial=True)[0] is Similarity.MIND
    assert choose_similarity(_pair(image, image * 0.8), partial=True)[0] is Similarity.LNCC
