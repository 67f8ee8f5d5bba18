"""Correlation with gradients: of whole images and of windows, against numpy and as laws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from JointRegSegLib.losses import FixedMoments, global_ncc, squared_lncc
from JointRegSegLib.losses.lncc import window_moments
from Testing.engine.tensor_cases import inner, noise, texture

SHAPE = (14, 16, 18)


def test_of_whole_images_it_is_numpys() -> None:
    a, b = noise(SHAPE, seed=1), noise(SHAPE, seed=2) + 0.3 * noise(SHAPE, seed=1)
    expected = np.corrcoef(a.numpy().ravel(), b.numpy().ravel())[0, 1]
    assert global_ncc(a, b).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.2), (3.0, -1.0), (-2.0, 1.0)])
def test_brightness_and_contrast_change_no_more_than_its_sign(gain: float, offset: float) -> None:
    a, b = texture(SHAPE, seed=1), texture(SHAPE, seed=1).roll(2, 3)
    plain = global_ncc(a, b).item()
    assert global_ncc(a, gain * b + offset).item() == pytest.approx(np.sign(gain) * plain, abs=1e-6)
    assert global_ncc(a, gain * a + offset).item() == pytest.approx(np.sign(gain), abs=1e-6)


@pytest.mark.parametrize(("similarity", "value"), [(global_ncc, 0.37), (squared_lncc, 0.0)])
def test_a_flat_image_has_none(similarity: Callable[[Tensor, Tensor], Tensor], value: float) -> None:
    """Windows at the border see an edge, unless what is flat is 0 as what lies beyond."""
    flat = torch.full((1, 1, *SHAPE), value, requires_grad=True)
    found = similarity(texture(SHAPE, dtype=torch.float32), flat)
    (slope,) = torch.autograd.grad(found.sum(), flat)
    assert found.item() == pytest.approx(0.0, abs=1e-3)
    assert torch.isfinite(slope).all()


def test_windows_are_numpys_squared_correlations() -> None:
    a, b = noise((3, 4, 3), seed=1), noise((3, 4, 3), seed=2)
    f, m = (np.pad(x[0, 0].numpy(), 1) for x in (a, b))
    squares = []
    for corner in np.ndindex(3, 4, 3):
        window = tuple(slice(c, c + 3) for c in corner)
        squares.append(np.corrcoef(f[window].ravel(), m[window].ravel())[0, 1] ** 2)
    assert squared_lncc(a, b, 3).item() == pytest.approx(np.mean(squares), abs=1e-6)


def test_windows_of_alike_images_reach_1_and_a_background_does_not() -> None:
    image = texture(SHAPE, 1.0)
    assert squared_lncc(image, image, 5).item() == pytest.approx(1.0, abs=1e-3)
    half = image.clone()
    half[..., :9] = 0.0
    textured = 1 - (9 - 2) / 18
    assert squared_lncc(half, half, 5).item() == pytest.approx(textured, abs=1e-2)


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.2), (-1.5, 1.0)])
def test_windows_do_not_mind_brightness_and_contrast(gain: float, offset: float) -> None:
    """Away from the border, where windows reach into the zeros beyond the image."""
    a, b = texture(SHAPE, 1.0, seed=1), texture(SHAPE, 1.0, seed=2)
    window, changed = (window_moments(FixedMoments.of(a, 5), x, None) for x in (b, gain * b + offset))
    assert torch.allclose(inner(changed[4], 2), gain**2 * inner(window[4], 2))
    assert torch.allclose(inner(changed[5], 2), gain * inner(window[5], 2))


def test_the_gradient_raises_it() -> None:
    a = texture(SHAPE, 1.5, seed=1)
    b = (0.7 * a.roll(2, 3) + 0.3 * texture(SHAPE, 1.5, seed=3)).requires_grad_()
    for similarity in (global_ncc, squared_lncc):
        (slope,) = torch.autograd.grad(similarity(a, b).sum(), b)
        step = 1e-3 * slope / slope.abs().max()
        assert similarity(a, b + step) > similarity(a, b)


def test_gradients_are_derivatives_and_each_sample_has_its_own() -> None:
    a, b = (torch.cat([noise((4, 5, 3), seed=s), noise((4, 5, 3), seed=s + 9)]).requires_grad_() for s in (1, 2))
    for similarity in (global_ncc, lambda x, y: squared_lncc(x, y, 3)):
        alone = torch.cat([similarity(a[i : i + 1], b[i : i + 1]) for i in range(2)])
        assert torch.allclose(similarity(a, b), alone, rtol=1e-10)
        assert torch.autograd.gradcheck(similarity, (a, b))
