"""Reading between voxels, warping, composing, exponentials, inverses and Jacobian determinants: laws and knowns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from JointRegSegLib.fields import (
    central_difference,
    compose,
    exponential,
    identity,
    inverse,
    jacobian_determinant,
    landings,
    sample,
    shape_of,
    warp,
)
from Testing.engine.tensor_cases import inner, largest, noise, smooth_field, texture

SHAPE = (11, 14, 9)


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> int:
    """The sampler divides its work by the number of threads; its answers must not depend on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [SHAPE, (64, 41, 53), (1, 7, 5), (2, 2, 2)])
def test_the_zero_field_is_exactly_the_identity(shape: tuple[int, int, int], mode: str, padding: str) -> None:
    image = noise(shape, 2, dtype=torch.float32) * 1000
    assert torch.equal(warp(image, torch.zeros(1, 3, *shape), mode, padding), image)


@pytest.mark.parametrize("shift", [(1, 0, 0), (0, -2, 0), (0, 0, 3), (2, -1, -3), (20, 0, 0)])
@pytest.mark.parametrize("padding", ["border", "zeros"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_whole_steps_move_values_without_touching_them(shift: tuple[int, ...], padding: str, mode: str) -> None:
    image = noise(SHAPE, 2, dtype=torch.float32) * 1000
    field = torch.tensor(shift, dtype=torch.float32).view(1, 3, 1, 1, 1).expand(1, 3, *SHAPE)
    moved = warp(image, field, mode, padding)
    for d, h, w in [(0, 0, 0), (10, 13, 8), (5, 6, 4), (3, 11, 2), (8, 2, 7)]:
        there = [p + s for p, s in zip((d, h, w), shift, strict=True)]
        near = [min(max(p, 0), n - 1) for p, n in zip(there, SHAPE, strict=True)]
        expected = image[0, :, near[0], near[1], near[2]]
        if padding == "zeros" and near != there:
            expected = torch.zeros(2)
        assert torch.equal(moved[0, :, d, h, w], expected)


def test_whole_steps_that_differ_from_voxel_to_voxel_are_exact_too() -> None:
    image = noise(SHAPE, dtype=torch.float32)
    mirrored = identity(SHAPE, image).flip(3) - identity(SHAPE, image)
    assert torch.equal(warp(image, mirrored), image.flip(3))


def test_a_step_along_tensor_axis_i_is_channel_i() -> None:
    ramps = identity(SHAPE, torch.zeros(1, dtype=torch.float64))
    step = torch.tensor([0.3, -0.7, 0.45], dtype=torch.float64).view(1, 3, 1, 1, 1)
    moved = warp(ramps, step.expand(1, 3, *SHAPE))
    assert torch.allclose(inner(moved, 1), inner(ramps + step, 1), atol=1e-12)


def test_trilinear_values_lie_on_the_line_between_neighbours(threads: int) -> None:
    image = noise((6, 5, 7), 3)
    places = torch.tensor([[2.25, 3.0, 1.5], [0.0, 0.5, 6.0], [4.9, 4.0, 0.1]], dtype=torch.float64)
    found = sample(image, places.T.reshape(1, 3, 3, 1, 1)).reshape(3, 3)
    x = image[0]
    expected = [
        0.75 * (x[:, 2, 3, 1] + x[:, 2, 3, 2]) / 2 + 0.25 * (x[:, 3, 3, 1] + x[:, 3, 3, 2]) / 2,
        (x[:, 0, 0, 6] + x[:, 0, 1, 6]) / 2,
        0.1 * (0.9 * x[:, 4, 4, 0] + 0.1 * x[:, 4, 4, 1]) + 0.9 * (0.9 * x[:, 5, 4, 0] + 0.1 * x[:, 5, 4, 1]),
    ]
    assert torch.allclose(found, torch.stack(expected, 1), atol=1e-12)


def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    image, field = noise((24, 17, 19), 2, dtype=torch.float32), smooth_field((24, 17, 19), 3.0, dtype=torch.float32)
    found = warp(image, field, padding="zeros")
    torch.set_num_threads(1)
    assert torch.equal(found, warp(image, field, padding="zeros"))


def test_beyond_the_image_the_edge_repeats_or_zero_follows() -> None:
    image = noise(SHAPE)
    far = torch.full((1, 3, 1, 1, 1), 50.0, dtype=torch.float64)
    assert sample(image, far).item() == pytest.approx(image[0, 0, -1, -1, -1].item())
    assert sample(image, far, padding="zeros").item() == 0.0
    half_out = torch.tensor([-0.25, 4.0, 4.0], dtype=torch.float64).view(1, 3, 1, 1, 1)
    assert sample(image, half_out, padding="zeros").item() == pytest.approx(0.75 * image[0, 0, 0, 4, 4].item())


def test_nearest_takes_only_values_that_are_there() -> None:
    image = torch.arange(11 * 14 * 9, dtype=torch.float32).view(1, 1, *SHAPE)
    field = smooth_field(SHAPE, 2.5, sigma=1.5, dtype=torch.float32)
    moved = warp(image, field, "nearest")
    assert torch.equal(moved, moved.round())
    whole = (identity(SHAPE, field) + field).round()
    limits = torch.tensor([n - 1.0 for n in SHAPE]).view(1, 3, 1, 1, 1)
    d, h, w = torch.minimum(whole.clamp(min=0), limits).long()[0]
    assert (moved == image[0, 0, d, h, w]).float().mean() > 0.999


@pytest.mark.parametrize("padding", ["border", "zeros"])
def test_gradients_reach_image_and_field(padding: str) -> None:
    image = texture((4, 5, 3), 1.0).requires_grad_()
    field = (0.3 + 0.3 * torch.rand(1, 3, 4, 5, 3, dtype=torch.float64)).requires_grad_()
    assert gradcheck(lambda x, u: warp(x, u, padding=padding), (image, field))


def test_at_the_zero_field_the_gradient_is_the_slope_between_voxels() -> None:
    """Trilinear interpolation has a kink at the voxels: the derivative there is one of the two one-sided slopes."""
    image = texture((5, 6, 4), 1.0)
    field = torch.zeros(1, 3, 5, 6, 4, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(warp(image, field).sum(), field)
    for axis in range(3):
        n = image.shape[2 + axis]
        slopes = image.diff(dim=2 + axis)
        here = found[:, axis : axis + 1].narrow(2 + axis, 1, n - 2)
        before, after = slopes.narrow(2 + axis, 0, n - 2), slopes.narrow(2 + axis, 1, n - 2)
        assert torch.minimum((here - before).abs(), (here - after).abs()).max() < 1e-9
        assert here.abs().max() > 0.01


def test_at_the_zero_field_the_image_receives_its_gradient_unchanged() -> None:
    image = texture((5, 6, 4)).requires_grad_()
    weights = noise((5, 6, 4), seed=3)
    (found,) = torch.autograd.grad(
        (warp(image, torch.zeros(1, 3, 5, 6, 4, dtype=torch.float64)) * weights).sum(), image
    )
    assert torch.allclose(found, weights, atol=1e-12)


def test_composing_is_warping_twice() -> None:
    """Equal up to the second interpolation of the image, and not equal to warping in the other order."""
    shape = (30, 34, 28)
    image = texture(shape, 4.0)
    first, second = (exponential(smooth_field(shape, 6.0, 6.0, seed=s)) for s in (1, 2))
    once, twice = warp(image, compose(first, second)), warp(warp(image, first), second)
    assert (once - twice).abs().max() < 0.005
    assert (warp(image, compose(second, first)) - once).abs().max() > 0.03


def test_composing_with_nothing_changes_nothing() -> None:
    field = smooth_field(SHAPE, 2.0)
    nothing = torch.zeros_like(field)
    assert torch.equal(compose(field, nothing), field)
    assert torch.allclose(compose(nothing, field), field, atol=1e-12)


def test_shifts_add_up_under_composition() -> None:
    shape = (12, 12, 12)
    first, second = (torch.full((1, 3, *shape), v, dtype=torch.float64) for v in (1.25, -0.5))
    assert torch.allclose(compose(first, second), first + second, atol=1e-12)


def test_the_exponential_of_a_constant_is_the_constant() -> None:
    velocity = torch.tensor([1.5, -0.25, 0.75], dtype=torch.float64).view(1, 3, 1, 1, 1).expand(1, 3, 8, 9, 7)
    assert torch.allclose(exponential(velocity), velocity, atol=1e-12)


def test_the_exponential_of_a_linear_velocity_is_the_matrix_exponential() -> None:
    """x' = A x about the middle leads to exp(A) x; exact away from the border, for trilinear reading is linear."""
    shape = (25, 25, 25)
    rate = torch.tensor([[0.05, -0.2, 0.0], [0.2, -0.04, 0.1], [0.0, -0.1, 0.02]], dtype=torch.float64)
    places = identity(shape, rate) - 12.0
    velocity = torch.einsum("ij,bjdhw->bidhw", rate, places)
    expected = torch.einsum("ij,bjdhw->bidhw", torch.linalg.matrix_exp(rate) - torch.eye(3), places)
    found = exponential(velocity, steps=12)
    assert (inner(found, 7) - inner(expected, 7)).abs().max() < 0.002
    assert inner(expected, 7).abs().max() > 1.0


def test_backwards_velocity_leads_back() -> None:
    """exp(v) and exp(-v) undo each other within 0.05 of the 3 voxels that v moves, and neither folds."""
    velocity = smooth_field((32, 30, 34), 3.0, 5.0)
    there, back = exponential(velocity), exponential(-velocity)
    assert largest(there) > 2.0
    assert largest(compose(there, back)) < 0.05
    assert largest(compose(back, there)) < 0.05
    assert jacobian_determinant(there).min() > 0.2
    assert jacobian_determinant(back).min() > 0.2


@pytest.mark.parametrize("shape", [(32, 36, 30), (14, 48, 40), (1, 20, 20)])
def test_the_inverse_leads_back(shape: tuple[int, int, int]) -> None:
    if shape[0] == 1:
        field = smooth_field((3, *shape[1:]), 1.5, 3.0)[:, :, 1:2].clone()
        field[:, 0] = 0
    else:
        field = exponential(smooth_field(shape, 6.0, 5.0))
        assert jacobian_determinant(field).min() < 0.5
    back = inverse(field, iterations=30, tolerance=0.01)
    assert largest(field) > 1.0
    assert back.shape == field.shape
    assert largest(compose(field, back)) < 0.1
    # The other way round reads the inverse between its voxels, and it is steep where the field presses together.
    other_way = compose(back, field).square().sum(1).sqrt()
    assert other_way.mean() < 0.1
    assert other_way.max() < 0.1 * largest(field)


def test_the_inverse_of_a_strong_shear_and_of_a_shift() -> None:
    shape = (40, 16, 16)
    ramp = 12.0 * torch.sin(2 * math.pi * torch.arange(16, dtype=torch.float64) / 15)
    shear = torch.zeros(1, 3, *shape, dtype=torch.float64)
    shear[:, 0] = ramp.view(1, 1, 1, 16)
    assert torch.allclose(inverse(shear), -shear, atol=1e-9)
    shift = torch.full((1, 3, *shape), 2.5, dtype=torch.float64)
    assert torch.allclose(inverse(shift), -shift, atol=1e-9)


def test_a_better_first_guess_is_kept() -> None:
    field = exponential(smooth_field((24, 24, 24), 3.0, 4.0))
    good = inverse(field, iterations=50, tolerance=1e-6)
    assert largest(inverse(field, iterations=1, start=good) - good) < 1e-4
    assert largest(inverse(field, iterations=1) - good) > 1e-2


def _affine_field(matrix: Tensor, shape: tuple[int, int, int]) -> Tensor:
    places = identity(shape, matrix)
    return torch.einsum("ij,bjdhw->bidhw", matrix, places) - places


def test_the_jacobian_determinant_of_an_affine_field_is_its_determinant() -> None:
    matrix = torch.tensor([[1.1, 0.2, -0.1], [0.05, 0.9, 0.3], [0.0, -0.2, 1.3]], dtype=torch.float64)
    found = jacobian_determinant(_affine_field(matrix, SHAPE))
    assert found.shape == (1, 1, *SHAPE)
    assert torch.allclose(found, torch.linalg.det(matrix).expand_as(found), atol=1e-12)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    assert torch.allclose(jacobian_determinant(_affine_field(mirror, SHAPE)), torch.tensor(-1.0, dtype=torch.float64))


def test_the_jacobian_determinant_of_quadratic_fields_is_the_derivative() -> None:
    """Central differences are exact for quadratics: u = (a z^2, b z y, c x^2) has (1 + 2az)(1 + bz)(1 + 2cx)."""
    z, y, x = identity(SHAPE, torch.zeros(1, dtype=torch.float64))[0]
    a, b, c = 0.02, -0.03, 0.05
    field = torch.stack([a * z * z, b * z * y, c * x * x])[None]
    expected = (1 + 2 * a * z) * (1 + b * z) * (1 + 2 * c * x)
    assert torch.allclose(inner(jacobian_determinant(field)[0, 0], 1), inner(expected, 1), atol=1e-12)


def test_determinants_multiply_under_composition() -> None:
    first, second = (exponential(smooth_field((32, 32, 32), 2.0, 6.0, seed=s)) for s in (1, 2))
    whole = jacobian_determinant(compose(first, second))
    product = warp(jacobian_determinant(first), second) * jacobian_determinant(second)
    assert (whole - 1).abs().max() > 0.5
    assert (whole - product).abs().max() < 0.1


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_where_a_box_can_land_holds_all_that_sees_it_and_little_else(padding: str) -> None:
    shape = (20, 24, 28)
    field = smooth_field(shape, 3.0) + 2.0
    positions = identity(shape, field) + field
    boxes = [(slice(5, 9), slice(8, 15), slice(3, 7)), (slice(0, 5), slice(0, 24), slice(23, 28))]
    beyond = (slice(40, 44), slice(1, 5), slice(1, 5))
    *found, nowhere = landings(positions, [*boxes, beyond], shape if padding == "border" else None)
    assert nowhere is None
    for box, part in zip(boxes, found, strict=True):
        assert part is not None
        image = torch.zeros(1, 1, *shape, dtype=field.dtype)
        image[(..., *box)] = 1
        seen = sample(image, positions, padding=padding) > 0
        assert seen.any()
        outside = torch.ones_like(seen)
        outside[(..., *part)] = False
        assert not (seen & outside).any()
        sizes = [(n.stop - n.start, b.stop - b.start) for n, b in zip(part, box, strict=True)]
        assert all(size <= own + 8 for size, own in sizes)


def test_batches_are_warped_one_by_one() -> None:
    images = torch.cat([texture(SHAPE, seed=1), texture(SHAPE, seed=2)])
    fields = torch.cat([smooth_field(SHAPE, 2.0, seed=3), smooth_field(SHAPE, 2.0, seed=4)])
    together = warp(images, fields)
    assert shape_of(together) == SHAPE
    for one in range(2):
        alone = warp(images[one : one + 1], fields[one : one + 1])
        assert torch.allclose(together[one : one + 1], alone, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 5, 4), (2, 7, 6, 9)])
def test_central_differences_are_those_of_torch(shape: tuple[int, ...]) -> None:
    x = texture(shape[-3:], 1.0, seed=5, dtype=torch.float32)[0, 0].expand(shape)
    for axis in range(len(shape)):
        assert torch.equal(central_difference(x, axis), torch.gradient(x, dim=axis)[0])
