"""Local correlation and its force: exact on few voxels, laws on many, and what a mask hides is not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from JointRegSegLib.fields import box_mean
from JointRegSegLib.losses import FixedMoments, image_gradient, lncc, lncc_force
from Testing.engine.tensor_cases import inner, noise, texture

SHAPE = (18, 16, 20)
WIDTH = 5


def _value(fixed: Tensor, warped: Tensor, weight: Tensor | None = None, width: int = WIDTH) -> float:
    return float(lncc(FixedMoments.of(fixed, width), warped, weight))


def _force(fixed: Tensor, warped: Tensor, weight: Tensor | None = None, width: int = WIDTH) -> Tensor:
    return lncc_force(FixedMoments.of(fixed, width), warped, weight)


def _block(weight: Tensor, value: float = 0.0) -> Tensor:
    weight[..., 5:12, 4:11, 6:14] = value
    return weight


def _middle(image: Tensor) -> Tensor:
    """A weight that keeps windows away from the border, where they reach into the zeros beyond the image."""
    weight = torch.zeros_like(image)
    inner(weight, 4)[:] = 1.0
    return weight


def test_on_27_voxels_it_is_numpys_correlation_of_every_window() -> None:
    fixed, warped = noise((3, 3, 3), seed=1), noise((3, 3, 3), seed=2)
    f, m = (np.pad(x[0, 0].numpy(), 1) for x in (fixed, warped))
    correlations, contrasts = [], []
    for corner in np.ndindex(3, 3, 3):
        window = tuple(slice(c, c + 3) for c in corner)
        correlations.append(np.corrcoef(f[window].ravel(), m[window].ravel())[0, 1] ** 2)
        contrasts.append(f[window].std())
    assert _value(fixed, warped, width=3) == pytest.approx(np.average(correlations, weights=contrasts), abs=1e-6)


def test_with_a_mask_it_is_numpys_correlation_of_the_counted_voxels() -> None:
    fixed, warped = noise((3, 3, 3), seed=1), noise((3, 3, 3), seed=2)
    counted = torch.rand(1, 1, 3, 3, 3, generator=torch.Generator().manual_seed(4)) > 0.3
    f, m, c = (np.pad(x[0, 0].numpy(), 1) for x in (fixed, warped, counted))
    correlations, contrasts = [], []
    for corner in np.argwhere(counted[0, 0].numpy()):
        window = tuple(slice(n, n + 3) for n in corner)
        inside = c[window]
        correlations.append(np.corrcoef(f[window][inside], m[window][inside])[0, 1] ** 2)
        contrasts.append(f[window][inside].std())
    expected = np.average(correlations, weights=contrasts)
    assert _value(fixed, warped, counted.double(), width=3) == pytest.approx(expected, abs=1e-6)


def test_alike_images_reach_1_and_strangers_stay_low() -> None:
    image, other = texture(SHAPE, 1.5, seed=1), texture(SHAPE, 1.5, seed=2)
    assert _value(image, image) > 0.99
    assert _value(image, image) <= 1.0
    assert 0.0 <= _value(image, other, _middle(image)) < 0.2


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.2), (3.0, -1.0), (-1.0, 1.0)])
def test_brightness_and_contrast_do_not_count(gain: float, offset: float) -> None:
    fixed, warped = texture(SHAPE, 1.0, seed=1), texture(SHAPE, 1.0, seed=1).roll(1, 2)
    weight = _middle(fixed)
    plain, changed = _value(fixed, warped, weight), _value(fixed, gain * warped + offset, weight)
    assert 0.2 < plain < 0.98
    assert changed == pytest.approx(plain, abs=2e-3)
    assert _value(gain * fixed + offset, warped, weight) == pytest.approx(plain, abs=2e-3)


def test_a_smooth_shading_hardly_counts() -> None:
    image = texture(SHAPE, 1.0)
    shading = torch.linspace(0.8, 1.2, SHAPE[0], dtype=torch.float64).view(1, 1, -1, 1, 1)
    assert _value(image, image * shading, _middle(image)) > 0.95


def test_at_the_middle_of_its_window_the_force_is_the_derivative() -> None:
    """The force at a voxel is the derivative of that voxel's own squared correlation, times the window's voxels."""
    fixed, warped = texture((9, 9, 9), 1.0, seed=1), texture((9, 9, 9), 1.0, seed=2).requires_grad_()

    def squared_correlation(f: Tensor, m: Tensor) -> Tensor:
        centre = [box_mean(x, WIDTH) for x in (f, m, f * f, m * m, f * m)]
        mf, mm, ff, mm2, fm = (x[0, 0, 4, 4, 4] for x in centre)
        return (fm - mf * mm) ** 2 / ((ff - mf**2) * (mm2 - mm**2))

    (slope,) = torch.autograd.grad(squared_correlation(fixed, warped), warped)
    expected = slope[0, 0, 4, 4, 4].item() * WIDTH**3
    found = _force(fixed, warped.detach())[0, 0, 4, 4, 4].item()
    # The constants that keep flat windows quiet make up the difference.
    assert found == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("masked", [False, True])
def test_the_force_points_where_the_correlation_rises(masked: bool) -> None:
    """It leaves out that a voxel belongs to its neighbours' windows too, yet agrees with the whole derivative."""
    fixed, warped = texture(SHAPE, 2.0, seed=1), texture(SHAPE, 2.0, seed=1).roll(2, 3)
    warped = (0.8 * warped + 0.2 * texture(SHAPE, 2.0, seed=3)).requires_grad_()
    weight = _block(torch.ones_like(fixed)) if masked else None
    moments = FixedMoments.of(fixed, WIDTH)
    slope = torch.autograd.grad(lncc(moments, warped, weight), warped)[0]
    force = _force(fixed, warped.detach(), weight)
    pull, wanted = force * image_gradient(warped.detach()), slope * image_gradient(warped.detach())
    smooth_pull, smooth_wanted = box_mean(pull, 5), box_mean(wanted, 5)
    cosine = torch.nn.functional.cosine_similarity(smooth_pull.flatten(), smooth_wanted.flatten(), dim=0)
    assert cosine > 0.8
    step = 1e-3 * force / force.abs().max()
    assert lncc(moments, warped.detach() + step, weight) > lncc(moments, warped.detach(), weight)


def test_alike_images_feel_hardly_any_force() -> None:
    """None but for the constant that keeps flat windows quiet."""
    image = texture(SHAPE, 0.7)
    apart = inner(_force(image, image.roll(2, 2)), 3).abs()
    alike = inner(_force(image, image), 3).abs()
    assert alike.mean() < 0.1 * apart.mean()
    assert alike.max() < 0.1 * apart.max()


def test_flat_windows_drive_nothing() -> None:
    """Half of each image is flat but for rounding; single precision, as in a run."""
    fixed, warped = (texture(SHAPE, 1.5, seed=s, dtype=torch.float32) for s in (1, 2))
    usual = _force(fixed, warped).abs().mean()
    flat_fixed = fixed.clone()
    flat_fixed[..., :10] = 0.37
    assert inner(_force(flat_fixed, warped), 3)[..., :4].abs().max() < 1e-3 * usual
    flat_warped = warped.clone()
    flat_warped[..., :10] = 0.53
    pull = _force(fixed, flat_warped) * image_gradient(flat_warped)
    assert (pull[..., :9] == 0).all()
    assert _value(torch.full_like(fixed, 0.4), warped, _middle(fixed)) < 0.01
    both = _force(flat_fixed, flat_warped)
    assert torch.isfinite(both).all()
    assert inner(both, 3)[..., :4].abs().max() < 1e-3 * usual


def test_masked_voxels_are_not_seen() -> None:
    """Whatever stands there changes neither the value nor the force anywhere else, to the last bit."""
    fixed, warped = (texture(SHAPE, 1.5, seed=s, dtype=torch.float32) for s in (1, 2))
    weight = _block(torch.ones_like(fixed))
    lesion, shade = _block(fixed.clone(), 0.93), _block(warped.clone(), -0.2)
    assert _value(lesion, warped, weight) == _value(fixed, warped, weight)
    assert _value(fixed, shade, weight) == _value(fixed, warped, weight)
    force = _force(fixed, warped, weight)
    assert torch.equal(_force(lesion, warped, weight), force)
    assert torch.equal(_force(fixed, shade, weight), force)
    assert (force[weight == 0] == 0).all()
    assert not torch.equal(_force(lesion, warped), _force(fixed, warped))


def test_counting_everything_is_not_masking_beyond_the_border() -> None:
    """Inside, weights of 1 change nothing; at the border they keep the zeros beyond the image out."""
    fixed, warped = texture(SHAPE, 1.5, seed=1), texture(SHAPE, 1.5, seed=2)
    plain, weighted = _force(fixed, warped), _force(fixed, warped, torch.ones_like(fixed))
    assert torch.allclose(inner(plain, 2), inner(weighted, 2), rtol=1e-4, atol=1e-9)


def test_windows_with_hardly_any_counted_voxel_drive_nothing() -> None:
    fixed, warped = texture(SHAPE, 1.5, seed=1), texture(SHAPE, 1.5, seed=2)
    weight = torch.zeros_like(fixed)
    weight[..., 8, 8, 8] = 1.0
    assert (_force(fixed, warped, weight) == 0).all()
    assert (_force(fixed, warped, torch.zeros_like(fixed)) == 0).all()
    assert _value(fixed, warped, torch.zeros_like(fixed)) == 0.0
