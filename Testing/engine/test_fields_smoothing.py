"""Box, binomial and Gaussian smoothing, and resizing: PyTorch's pooling, closed forms and laws."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as functional

from JointRegSegLib.fields import (
    BLUR_PER_FACTOR,
    along_axes,
    binomial,
    box_mean,
    gaussian,
    identity,
    resize_field,
    resize_image,
    shrink_image,
    warp,
)
from Testing.engine.tensor_cases import generator, inner, noise, smooth_field, texture

SHAPES = [(12, 9, 15), (4, 20, 6), (1, 5, 2), (3, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [1, 3, 5, 7, 9, 11, 13, 15, 17])
def test_the_box_mean_is_average_pooling(shape: tuple[int, int, int], width: int) -> None:
    x = torch.cat([noise(shape, 3, seed=1), noise(shape, 3, seed=2)])
    before = x.clone()
    expected = functional.avg_pool3d(functional.pad(x, [width // 2] * 6), width, stride=1)
    assert torch.allclose(box_mean(x, width), expected, atol=1e-13)
    assert torch.equal(x, before)


def test_the_box_mean_is_symmetric_and_differentiable() -> None:
    """<box x, y> = <x, box y>, and so the gradient of <box x, y> by x is box y."""
    x, y = noise((8, 7, 9), seed=1).requires_grad_(), noise((8, 7, 9), seed=2)
    (slope,) = torch.autograd.grad((box_mean(x, 5) * y).sum(), x)
    assert torch.allclose(slope, box_mean(y, 5), atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_smoothing_keeps_constants(shape: tuple[int, int, int]) -> None:
    x = torch.full((1, 2, *shape), 3.7, dtype=torch.float64)
    assert torch.allclose(binomial(x), x, atol=1e-13)
    assert torch.allclose(gaussian(x, (1.3, 2.0, 0.4)), x, atol=1e-13)


def test_binomial_and_gaussian_leave_their_input_alone() -> None:
    x = noise((5, 6, 7))
    before = x.clone()
    binomial(x)
    gaussian(x, (1.0, 0.0, 2.0))
    assert torch.equal(x, before)


def test_an_impulse_becomes_the_binomial_weights() -> None:
    x = torch.zeros(1, 1, 7, 7, 7, dtype=torch.float64)
    x[0, 0, 3, 2, 4] = 64.0
    row = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    expected = torch.zeros_like(x)
    expected[0, 0, 2:5, 1:4, 3:6] = row.view(3, 1, 1) * row.view(1, 3, 1) * row
    assert torch.equal(binomial(x), expected)


def test_the_binomial_repeats_the_edge() -> None:
    x = torch.zeros(1, 1, 5, 1, 1, dtype=torch.float64)
    x[0, 0, 0] = 4.0
    assert binomial(x).flatten().tolist() == [3.0, 1.0, 0.0, 0.0, 0.0]


def test_an_impulse_becomes_a_gaussian_of_the_width_asked_for() -> None:
    sigma = (1.0, 2.0, 1.5)
    x = torch.zeros(1, 1, 21, 31, 25, dtype=torch.float64)
    x[0, 0, 10, 15, 12] = 1.0
    found = gaussian(x, sigma)
    assert found.sum().item() == pytest.approx(1.0)
    places = identity((21, 31, 25), x)[0] - torch.tensor([10.0, 15.0, 12.0]).view(3, 1, 1, 1)
    for axis in range(3):
        # Cutting at three sigma takes 1 to 3 % of the variance.
        assert (found[0, 0] * places[axis] ** 2).sum().item() == pytest.approx(sigma[axis] ** 2, rel=0.04)
        assert (found[0, 0] * places[axis]).sum().item() == pytest.approx(0.0, abs=1e-12)
    ratio = found[0, 0, 11, 13, 12] / found[0, 0, 10, 15, 12]
    assert ratio.item() == pytest.approx(math.exp(-0.5 * (1.0 + 1.0)))
    assert found[0, 0, 14, 15, 12] == 0.0


def test_no_width_is_no_smoothing_along_that_axis() -> None:
    x = noise((6, 7, 8))
    assert torch.equal(gaussian(x, (0.0, 0.0, 0.0)), x)
    along_h = gaussian(x, (0.0, 1.5, 0.0))
    assert torch.allclose(along_h.sum(3)[:, :, 1:2], gaussian(x[:, :, 1:2], (0.0, 1.5, 0.0)).sum(3), atol=1e-12)
    assert not torch.allclose(along_h, x)


def test_smoothing_a_ramp_keeps_it_inside() -> None:
    ramp = identity((20, 20, 20), torch.zeros(1, dtype=torch.float64))
    for smoothed in (binomial(ramp), gaussian(ramp, (1.5, 1.5, 1.5)), box_mean(ramp, 5)):
        assert torch.allclose(inner(smoothed, 5), inner(ramp, 5), atol=1e-12)


@pytest.mark.parametrize("shape", [(9, 11, 7), (17, 5, 13), (1, 6, 3)])
def test_resizing_keeps_corners_and_linear_images(shape: tuple[int, int, int]) -> None:
    old = (9, 6, 13)
    d, h, w = identity(old, torch.zeros(1, dtype=torch.float64))[0]
    image = (2 * d / 8 - 3 * h / 5 + w / 12)[None, None]
    found = resize_image(image, shape)
    z, y, x = identity(shape, image)[0]
    expected = 2 * z / max(shape[0] - 1, 1) - 3 * y / (shape[1] - 1) + x / (shape[2] - 1)
    assert torch.allclose(found[0, 0], expected, atol=1e-12)


def test_resizing_to_the_same_shape_is_the_same() -> None:
    x = noise((5, 6, 7), 3)
    assert torch.equal(resize_image(x, (5, 6, 7)), x)
    assert torch.equal(resize_field(x, (5, 6, 7)), x)


@pytest.mark.parametrize("shape", [(6, 20, 15), (12, 7, 4), (1, 10, 30)])
def test_shrinking_is_smoothing_and_then_resizing(shape: tuple[int, int, int]) -> None:
    old = (12, 20, 31)
    x = torch.cat([noise(old, 2, seed) for seed in (1, 2)])
    factors = [(n - 1) / max(m - 1, 1) for n, m in zip(old, shape, strict=True)]
    d, h, w = (BLUR_PER_FACTOR * factor if factor > 1 else 0.0 for factor in factors)
    assert torch.allclose(shrink_image(x, shape), resize_image(gaussian(x, (d, h, w)), shape), atol=1e-12)
    assert torch.equal(shrink_image(x, old), x)
    ones = torch.ones_like(x)
    assert torch.allclose(shrink_image(ones, shape), ones.new_ones(2, 2, *shape), atol=1e-12)


def test_a_matrix_works_on_its_own_axis() -> None:
    x = noise((4, 5, 6), 2)
    matrices = [torch.randn(n, m, generator=generator(n), dtype=x.dtype) for n, m in ((3, 4), (7, 5), (2, 6))]
    expected = torch.einsum("bcdhw,xd,yh,zw->bcxyz", x, *matrices)
    assert torch.allclose(along_axes(x, matrices), expected, atol=1e-12)


def test_a_field_on_twice_the_voxels_moves_twice_as_many_voxels() -> None:
    field = noise((5, 6, 7), 3)
    doubled = resize_field(field, (9, 11, 13))
    assert torch.allclose(doubled[:, :, ::2, ::2, ::2], 2 * field, atol=1e-12)
    assert torch.allclose(resize_field(doubled, (5, 6, 7)), field, atol=1e-12)


def test_every_channel_scales_with_its_own_axis() -> None:
    field = torch.ones(1, 3, 5, 5, 5, dtype=torch.float64)
    found = resize_field(field, (9, 5, 3))
    assert torch.allclose(found.amax((0, 2, 3, 4)), torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64))
    assert torch.allclose(found.amin((0, 2, 3, 4)), torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64))


def test_a_resized_field_does_to_the_resized_image_what_it_did_before() -> None:
    shape, larger = (20, 18, 22), (39, 35, 43)
    image, field = texture(shape, 3.0), smooth_field(shape, 4.0, 5.0)
    there = warp(resize_image(image, larger), resize_field(field, larger))
    assert (resize_image(warp(image, field), larger) - there).abs().max() < 0.02
    assert (resize_image(image, larger) - there).abs().max() > 0.06
