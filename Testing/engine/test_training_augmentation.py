"""Random changes: one movement for all that belongs together, labels by the same matrix, drawn from a generator."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from JointRegSegLib.training.augmentation import (
    Movement,
    move,
    move_image,
    move_labels,
    random_affine,
    random_flip,
    random_gain,
    random_turn,
)
from JointRegSegLib.training.dataset import Sample
from Testing.engine.tensor_cases import generator, inner, texture

SHAPE = (16, 18, 20)
MAKERS: dict[str, Callable[[torch.Generator], Movement]] = {
    "affine": lambda random: random_affine(SHAPE, 0.075, random),
    "turn": lambda random: random_turn(SHAPE, 10.0, (0.9, 1.1), random),
    "flip": lambda random: random_flip(SHAPE, (0, 1, 2), random),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_movement_depends_on_its_generator_alone(name: str) -> None:
    make = MAKERS[name]
    assert np.array_equal(make(generator(1)), make(generator(1)))
    assert not all(np.array_equal(make(generator(1)), make(generator(seed))) for seed in range(2, 8))


def test_no_strength_is_no_movement() -> None:
    image = texture(SHAPE)
    still = random_affine(SHAPE, 0.0, generator(0))
    assert torch.allclose(move_image(image, still), image, atol=1e-12)
    assert torch.allclose(move_image(image, random_turn(SHAPE, 0.0, (1.0, 1.0), generator(0))), image, atol=1e-12)
    labels = (image > 0.5).long()
    assert torch.equal(move_labels(labels, still), labels)


def test_labels_move_with_their_image() -> None:
    """Where a label map is the threshold of an image, it stays so after any movement, save at its border."""
    image = texture(SHAPE, sigma=3.0)
    sample = Sample("a", image, (image > 0.5).long())
    for make in MAKERS.values():
        moved = move(sample, make(generator(3)))
        assert moved.label is not None
        assert moved.label.dtype == torch.int64
        clear = (moved.image - 0.5).abs() > 0.08
        assert clear.float().mean() > 0.3
        assert torch.equal((moved.image > 0.5)[clear], moved.label[clear].bool())
    assert move(Sample("a", image, None), MAKERS["affine"](generator(0))).label is None


def test_movements_compose_as_matrices() -> None:
    image = texture(SHAPE, sigma=4.0)
    first, second = MAKERS["turn"](generator(1)), MAKERS["flip"](generator(2))
    twice = move_image(move_image(image, first), second)
    assert float((inner(twice, 5) - inner(move_image(image, first @ second), 5)).abs().max()) < 0.02


def test_a_turn_keeps_the_middle_and_the_angles() -> None:
    for seed in range(5):
        matrix = random_turn(SHAPE, 10.0, (0.9, 1.1), generator(seed), (2.0, 1.0, 1.0))
        middle = np.array([(n - 1) / 2 for n in SHAPE] + [1.0])
        np.testing.assert_allclose(matrix @ middle, middle, atol=1e-9)
        mm = np.diag([2.0, 1.0, 1.0])
        linear = mm @ matrix[:3, :3] @ np.linalg.inv(mm)
        scale = np.cbrt(np.linalg.det(linear))
        assert 0.9 <= scale <= 1.1
        np.testing.assert_allclose(linear @ linear.T, np.eye(3) * scale**2, atol=1e-9)
        angle = math.degrees(math.acos((np.trace(linear / scale) - 1) / 2))
        assert 0 < angle < 10 * math.sqrt(3) + 1


def test_an_affine_strays_as_much_as_it_says() -> None:
    """In coordinates from -1 to 1 each entry has the standard deviation s, whatever the shape."""
    half = np.diag([(n - 1) / 2 for n in SHAPE] + [1.0])
    half[:3, 3] = [(n - 1) / 2 for n in SHAPE]
    drawn = [random_affine(SHAPE, 0.05, generator(seed)) for seed in range(300)]
    entries = np.stack([np.linalg.inv(half) @ matrix @ half - np.eye(4) for matrix in drawn])
    np.testing.assert_allclose(entries[:, :3].std(0), 0.05, rtol=0.2)
    np.testing.assert_allclose(entries[:, :3].mean(0), 0.0, atol=0.015)


def test_a_flip_mirrors_the_axes_it_may() -> None:
    image = texture(SHAPE)
    seen = set()
    for seed in range(20):
        moved = move_image(image, random_flip(SHAPE, (0, 2), generator(seed)))
        matches = [axes for axes in ((), (2,), (4,), (2, 4)) if torch.allclose(moved, image.flip(axes), atol=1e-9)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 4


def test_gains_are_drawn_around_one_and_never_turn_a_contrast_round() -> None:
    drawn = np.log([random_gain(0.5, generator(seed)) for seed in range(400)])
    assert np.mean(drawn) == pytest.approx(0.0, abs=0.08)
    assert np.std(drawn) == pytest.approx(0.5, abs=0.06)
