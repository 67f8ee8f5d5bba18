"""Pooling opinions: who is sure decides, agreement is certain, order does not matter."""

from __future__ import annotations

import pytest
import torch

from JointRegSegLib.fusion import pool


def opinion(*voxels: tuple[float, ...]) -> torch.Tensor:
    """Probabilities (K, 1, 1, n) from one tuple of K for each voxel."""
    return torch.tensor(voxels).T[:, None, None]


def test_the_surer_opinion_decides_with_the_known_confidence() -> None:
    unsure, sure = opinion((0.2, 0.5, 0.3)), opinion((0.0, 0.1, 0.9))
    fused = pool([unsure, sure], [None, None])
    # Weights 0.5 and 0.9: (0.5 * 0.3 + 0.9 * 0.9) / 1.4.
    assert fused.classes.flatten().tolist() == [2]
    assert float(fused.confidence) == pytest.approx(0.96 / 1.4)


def test_opinions_that_agree_stay_what_they_are() -> None:
    one = opinion((0.1, 0.7, 0.2), (1.0, 0.0, 0.0))
    fused = pool([one, one.clone()], [None, None])
    assert fused.classes.flatten().tolist() == [1, 0]
    assert fused.confidence.flatten().tolist() == pytest.approx([0.7, 1.0])


def test_equally_sure_opinions_that_differ_leave_a_half_in_any_order() -> None:
    a, b = opinion((0.0, 1.0, 0.0)), opinion((0.0, 0.0, 1.0))
    there, back = pool([a, b], [None, None]), pool([b, a], [None, None])
    assert float(there.confidence) == pytest.approx(0.5)
    assert torch.equal(there.classes, back.classes)


def test_who_knows_nothing_of_a_voxel_has_no_say_there() -> None:
    a, b = opinion((0.4, 0.6), (0.4, 0.6), (0.4, 0.6)), opinion((0.9, 0.1), (0.9, 0.1), (0.9, 0.1))
    here = torch.tensor([[[1.0, 0.0, 0.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])
    fused = pool([a, b], [here[1], here[0]])
    assert fused.classes.flatten().tolist() == [0, 1, 0]
    assert fused.confidence.flatten().tolist() == pytest.approx([(0.6 * 0.4 + 0.9 * 0.9) / 1.5, 0.6, 0.0])
