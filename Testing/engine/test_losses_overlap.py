"""The Dice losses: their three forms by hand, absent classes, masks, samples of a batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from JointRegSegLib.losses import DiceForm, soft_dice
from Testing.engine.tensor_cases import generator

K = 4
SHAPE = (5, 6, 7)
BEST: dict[DiceForm, float] = {"standard": 0.0, "half": -0.5, "negative": -1.0}
WORST: dict[DiceForm, float] = {"standard": 1.0, "half": 0.0, "negative": 0.0}


def _labels(batch: int = 1, classes: int = K, seed: int = 0) -> Tensor:
    return torch.randint(classes, (batch, *SHAPE), generator=generator(seed))


def _one_hot(labels: Tensor) -> Tensor:
    return functional.one_hot(labels, K).movedim(-1, 1).double()


def _probabilities(batch: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(batch, K, *SHAPE, generator=generator(seed), dtype=torch.float64).softmax(1)


@pytest.mark.parametrize("form", BEST)
def test_the_same_labels_are_best_and_strangers_worst(form: DiceForm) -> None:
    labels = _labels()
    assert soft_dice(_one_hot(labels), _one_hot(labels), form).item() == pytest.approx(BEST[form])
    disjoint = soft_dice(_one_hot(labels), _one_hot((labels + 1) % K), form)
    assert disjoint.item() == pytest.approx(WORST[form], abs=1e-7)


def test_soft_overlap_by_hand() -> None:
    p, q = _probabilities(seed=1)[0], _probabilities(seed=2)[0]
    each = [2 * float((p[c] * q[c]).sum()) / float(p[c].sum() + q[c].sum()) for c in range(K)]
    dice, foreground = sum(each) / K, sum(each[1:]) / (K - 1)
    assert soft_dice(p[None], q[None]).item() == pytest.approx(1 - dice)
    assert soft_dice(p[None], q[None], "half").item() == pytest.approx(-dice / 2)
    assert soft_dice(p[None], q[None], "negative").item() == pytest.approx(-dice)
    assert soft_dice(p[None], q[None], background=False).item() == pytest.approx(1 - foreground)
    assert torch.equal(soft_dice(p[None], q[None]), soft_dice(q[None], p[None]))


def test_a_class_in_neither() -> None:
    """It is found where 0 of 0 is all, missed where it is nothing."""
    labels = _labels(classes=K - 1)
    same = _one_hot(labels)
    assert soft_dice(same, same).item() == pytest.approx(0.0)
    assert soft_dice(same, same, "half").item() == pytest.approx(-0.5)
    assert soft_dice(same, same, "negative").item() == pytest.approx(-(K - 1) / K)


def test_voxels_of_weight_0_are_not_seen() -> None:
    p, q = _probabilities(seed=1), _probabilities(seed=2)
    weight = torch.ones(1, 1, *SHAPE, dtype=torch.float64)
    assert torch.equal(soft_dice(p, q, weight=weight), soft_dice(p, q))
    weight[..., :3] = 0
    assert torch.equal(soft_dice(p, q, weight=weight), soft_dice(p, torch.where(weight > 0, q, 0.3), weight=weight))
    assert soft_dice(p, q, weight=weight).item() == pytest.approx(soft_dice(p[..., 3:], q[..., 3:]).item())


def test_the_gradient_is_the_derivative() -> None:
    p, q = _probabilities(seed=1)[..., :2].requires_grad_(), _probabilities(seed=2)[..., :2].requires_grad_()
    for form in BEST:
        assert torch.autograd.gradcheck(lambda a, b, form=form: soft_dice(a, b, form), (p, q))


def test_each_sample_has_its_own() -> None:
    p, q = _probabilities(3, seed=1), _probabilities(3, seed=2)
    alone = torch.cat([soft_dice(p[i : i + 1], q[i : i + 1]) for i in range(3)])
    assert torch.allclose(soft_dice(p, q), alone, rtol=1e-12)
    assert alone.unique().numel() == 3
