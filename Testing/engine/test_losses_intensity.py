"""Mean squares, mutual information and self-similarity: known values, invariances and forces that lead uphill."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from JointRegSegLib.fields import identity
from JointRegSegLib.losses import (
    image_gradient,
    joint_histogram,
    mean_squares,
    mean_squares_force,
    mind_features,
    mutual_information,
    mutual_information_force,
)
from Testing.engine.tensor_cases import inner, noise, texture

SHAPE = (18, 16, 20)


def test_the_gradient_of_a_ramp_is_its_slope() -> None:
    d, h, w = identity((5, 6, 7), torch.zeros(1, dtype=torch.float64))[0]
    found = image_gradient((2 * d - 3 * h + 0.5 * w)[None, None])
    expected = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64).view(1, 3, 1, 1, 1).expand(1, 3, 5, 6, 7)
    assert torch.allclose(found, expected, atol=1e-12)


def test_mean_squares_of_known_images() -> None:
    fixed = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 2, 2)
    warped = torch.tensor([1.0, 0.0, 0.0, 4.0]).view(1, 1, 1, 2, 2)
    assert mean_squares(fixed, warped).item() == pytest.approx((4 + 9) / 4)
    weight = torch.tensor([1.0, 1.0, 0.0, 0.5]).view(1, 1, 1, 2, 2)
    assert mean_squares(fixed, warped, weight).item() == pytest.approx(4 / 2.5)
    assert mean_squares(fixed, warped, torch.zeros_like(fixed)).item() == 0.0


def test_the_force_of_mean_squares_is_minus_its_derivative() -> None:
    fixed, warped = noise(SHAPE, seed=1), noise(SHAPE, seed=2).requires_grad_()
    (slope,) = torch.autograd.grad((fixed - warped).square().sum(), warped)
    assert torch.allclose(mean_squares_force(fixed, warped.detach()), -slope, atol=1e-12)


def test_the_joint_density_adds_up_and_has_the_images_as_margins() -> None:
    fixed, warped = texture(SHAPE, 1.0, seed=1), texture(SHAPE, 1.0, seed=2)
    joint = joint_histogram(fixed, warped, bins=16)
    assert joint.sum().item() == pytest.approx(1.0)
    assert joint.min() >= 0
    rows = np.bincount(np.round(fixed.flatten().numpy() * 15).astype(int), minlength=16) / fixed.numel()
    assert np.allclose(joint.sum(1).numpy(), rows, atol=1e-12)
    centres = torch.linspace(0, 1, 16, dtype=torch.float64)
    assert (joint.sum(0) * centres).sum().item() == pytest.approx(warped.mean().item())


def test_intensities_beyond_0_and_1_count_as_the_ends() -> None:
    fixed, warped = torch.tensor([-0.2, 1.2]), torch.tensor([1.3, -0.4])
    joint = joint_histogram(fixed, warped, bins=4)
    assert joint[0, 3] == 0.5
    assert joint[3, 0] == 0.5


def test_mutual_information_of_black_and_white_is_one_bit() -> None:
    image = (noise(SHAPE) > 0).double()
    image.flatten()[: image.numel() // 2] = 0.0
    image.flatten()[image.numel() // 2 :] = 1.0
    assert mutual_information(image, image).item() == pytest.approx(math.log(2))
    assert mutual_information(image, 1 - image).item() == pytest.approx(math.log(2))
    quarters = torch.arange(image.numel()).view_as(image) % 2
    assert mutual_information(image, quarters.double()).item() == pytest.approx(0.0, abs=1e-9)


def test_independent_images_share_little_and_an_image_knows_itself() -> None:
    fixed, warped = (torch.rand(1, 1, 40, 40, 40, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    assert 0.0 <= mutual_information(fixed, warped).item() < 0.02
    assert mutual_information(fixed, fixed).item() > 0.7 * math.log(32)
    blend = mutual_information(fixed, 0.7 * fixed + 0.3 * warped).item()
    assert mutual_information(fixed, warped) < blend < mutual_information(fixed, fixed)


def test_renaming_intensities_changes_mutual_information_by_no_more_than_binning_does() -> None:
    image = torch.rand(1, 1, 30, 30, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    other = (0.6 * image + 0.4 * texture((30, 30, 30))).clamp(0, 1)
    plain = mutual_information(image, other).item()
    assert mutual_information(image, 1 - other).item() == pytest.approx(plain, rel=1e-6)
    assert mutual_information(1 - image, other).item() == pytest.approx(plain, rel=0.01)
    assert mutual_information(image, other.sqrt()).item() == pytest.approx(plain, rel=0.1)


def test_mutual_information_does_not_see_masked_voxels() -> None:
    fixed, warped = (texture(SHAPE, 1.0, seed=s, dtype=torch.float32) for s in (1, 2))
    weight = torch.ones_like(fixed)
    weight[..., 4:9, 5:11, 6:12] = 0.0
    lesion = torch.where(weight == 0, 0.9, fixed)
    assert torch.equal(mutual_information(lesion, warped, weight), mutual_information(fixed, warped, weight))
    force = mutual_information_force(fixed, warped, weight)
    assert torch.equal(mutual_information_force(lesion, warped, weight), force)
    assert (force[weight == 0] == 0).all()
    half = mutual_information(fixed[..., :10, :], warped[..., :10, :])
    only = torch.zeros_like(fixed)
    only[..., :10, :] = 1.0
    assert mutual_information(fixed, warped, only).item() == pytest.approx(half.item(), rel=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_the_force_of_mutual_information_leads_uphill(masked: bool) -> None:
    base = texture(SHAPE, 1.5, seed=1)
    fixed = 1 - base
    warped = (0.7 * base**2 + 0.3 * texture(SHAPE, 1.5, seed=2)).clamp(0, 1)
    weight = None
    if masked:
        weight = torch.ones_like(fixed)
        weight[..., 4:9, 5:11, 6:12] = 0.0
    before = mutual_information(fixed, warped, weight)
    force = mutual_information_force(fixed, warped, weight)
    assert force.shape == warped.shape
    step = force / force.square().mean().sqrt()
    assert mutual_information(fixed, warped + 0.01 * step, weight) > before * 1.01
    assert mutual_information(fixed, warped - 0.01 * step, weight) < before


def test_the_force_of_mutual_information_tells_how_it_changes() -> None:
    """Along smooth changes of the warped image; the smoothed density makes it approximate."""
    base = texture(SHAPE, 1.5, seed=1)
    fixed, warped = 1 - base, (0.7 * base**2 + 0.3 * texture(SHAPE, 1.5, seed=2)).clamp(0, 1)
    force = mutual_information_force(fixed, warped)
    changes = [0.01 * (texture(SHAPE, 2.0, seed=s) - 0.5) for s in range(100, 116)]
    told = torch.stack([(force * change).mean() for change in changes])
    ups = torch.stack([mutual_information(fixed, warped + change) for change in changes])
    downs = torch.stack([mutual_information(fixed, warped - change) for change in changes])
    assert torch.nn.functional.cosine_similarity(told, ups - downs, dim=0) > 0.8


def test_self_similarity_has_twelve_channels_between_0_and_1() -> None:
    features = mind_features(texture(SHAPE, 1.0))
    assert features.shape == (1, 12, *SHAPE)
    assert features.min() >= 0
    assert features.max() <= 1
    assert torch.equal(features.max(1).values, torch.ones(1, *SHAPE, dtype=torch.float64))
    assert features.std() > 0.05


@pytest.mark.parametrize(("gain", "offset"), [(0.3, 0.4), (5.0, -2.0), (-1.0, 1.0)])
def test_brightness_contrast_and_inversion_leave_self_similarity(gain: float, offset: float) -> None:
    image = texture(SHAPE, 1.0)
    assert torch.allclose(mind_features(gain * image + offset), mind_features(image), atol=1e-9)


def test_another_contrast_of_the_same_structures_stays_closer_than_other_structures() -> None:
    image, other = texture(SHAPE, 1.0, seed=1), texture(SHAPE, 1.0, seed=2)
    features = mind_features(image)
    renamed = (mind_features((1 - image) ** 2) - features).square().mean()
    assert renamed < 0.2 * (mind_features(other) - features).square().mean()


def test_self_similarity_moves_with_the_image() -> None:
    image = texture(SHAPE, 1.0)
    moved = mind_features(image.roll(2, 3))
    assert torch.allclose(inner(moved, 5), inner(mind_features(image).roll(2, 3), 5), rtol=1e-2, atol=1e-2)


def test_self_similarity_of_nothing_is_finite() -> None:
    assert torch.isfinite(mind_features(torch.zeros(1, 1, 8, 8, 8))).all()
    assert torch.isfinite(mind_features(torch.full((1, 1, 8, 8, 8), 0.3))).all()
    spot = torch.zeros(1, 1, 16, 16, 16)
    spot[..., 8, 8, 8] = 1.0
    assert torch.isfinite(mind_features(spot)).all()


def test_a_flat_corner_of_an_image_looks_the_same_from_everywhere() -> None:
    image = texture(SHAPE, 1.0)
    image[..., :9] = 0.5
    assert torch.allclose(mind_features(image)[..., :5], torch.ones(1, dtype=torch.float64))
