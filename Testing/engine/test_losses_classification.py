"""Cross entropy and its class weights, and the symmetric divergence of two predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from JointRegSegLib.losses import balanced_weights, cross_entropy, root_weights, symmetric_kl
from Testing.engine.tensor_cases import generator

K = 5
SHAPE = (4, 6, 8)


def _logits(batch: int = 1, seed: int = 0) -> Tensor:
    return 2 * torch.randn(batch, K, *SHAPE, generator=generator(seed), dtype=torch.float64)


def _labels(batch: int = 1, classes: int = K, seed: int = 1) -> Tensor:
    """Labels of very different frequency."""
    draw = torch.rand(batch, 1, *SHAPE, generator=generator(seed))
    return (draw.square() * classes).long()


def _log_losses(logits: Tensor, labels: Tensor) -> np.ndarray:
    return -logits.log_softmax(1).gather(1, labels.clamp(min=0)).numpy()


def test_without_weights_it_is_the_mean_log_loss() -> None:
    logits, labels = _logits(), _labels()
    assert cross_entropy(logits, labels).item() == pytest.approx(_log_losses(logits, labels).mean())


@pytest.mark.parametrize("classes", [K, K - 2])
def test_balanced_it_is_the_mean_over_classes_of_their_mean_log_losses(classes: int) -> None:
    """PGCNet's w_n = P / P_n; classes that do not occur are left out."""
    logits, labels = _logits(2), _labels(2, classes)
    found = cross_entropy(logits, labels, balanced_weights(labels, K))
    for i in range(2):
        losses = _log_losses(logits[i : i + 1], labels[i : i + 1])
        each = [losses[labels[i : i + 1].numpy() == c].mean() for c in range(classes)]
        assert found[i].item() == pytest.approx(np.mean(each))


def test_balanced_weights_by_hand() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 2, -1]).view(1, 1, 2, 2, 2)
    assert balanced_weights(labels, 4).tolist() == [[7 / 4, 7 / 2, 7.0, 0.0]]


def test_root_weights_by_hand() -> None:
    """Before the background's is set, the classes that occur have the mean 1."""
    roots = [1 / 10, 1 / 2, 1 / 4]
    mean = sum(roots) / 3
    expected = [0.5, roots[1] / mean, roots[2] / mean, 0.0]
    assert root_weights(torch.tensor([100, 4, 16, 0])).tolist() == pytest.approx(expected)
    assert root_weights(torch.tensor([100, 4]), background=0.15)[0].item() == pytest.approx(0.15)


def test_weights_are_shared_or_each_samples_own() -> None:
    logits, labels = _logits(2), _labels(2)
    weights = torch.rand(2, K, generator=generator(3))
    each = cross_entropy(logits, labels, weights)
    for i in range(2):
        alone = cross_entropy(logits[i : i + 1], labels[i : i + 1], weights[i])
        expected = functional.cross_entropy(logits[i : i + 1], labels[i : i + 1, 0], weights[i].double())
        assert each[i].item() == pytest.approx(alone.item()) == pytest.approx(expected.item())


@pytest.mark.parametrize("ignore", [-1, 255])
def test_ignored_voxels_are_not_seen(ignore: int) -> None:
    logits, labels = _logits(), _labels()
    hidden = torch.rand(labels.shape, generator=generator(5)) < 0.4
    labels = labels.masked_fill(hidden, ignore)
    other = torch.where(hidden, torch.full_like(logits, 9.0), logits)
    weights = torch.tensor([0.5, 1.0, 2.0, 0.3, 1.0])
    for options in ({}, {"weights": weights}, {"hardest": 0.25}):
        found = cross_entropy(logits, labels, ignore=ignore, **options)
        assert torch.equal(found, cross_entropy(other, labels, ignore=ignore, **options))
    losses = _log_losses(logits, labels.masked_fill(hidden, 0))[~hidden.numpy()]
    assert cross_entropy(logits, labels, ignore=ignore).item() == pytest.approx(losses.mean())


def test_where_all_is_ignored_the_loss_is_0_and_so_is_its_gradient() -> None:
    logits = _logits().requires_grad_()
    labels = torch.full((1, 1, *SHAPE), -1)
    for hardest in (None, 0.25):
        loss = cross_entropy(logits, labels, hardest=hardest)
        assert loss.tolist() == [0.0]
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert (gradient == 0).all()


def test_the_hardest_quarter() -> None:
    logits, labels = _logits(2), _labels(2)
    found = cross_entropy(logits, labels, hardest=0.25)
    for i in range(2):
        losses = np.sort(_log_losses(logits[i : i + 1], labels[i : i + 1]).ravel())[::-1]
        assert found[i].item() == pytest.approx(losses[: losses.size // 4].mean())
    assert torch.allclose(cross_entropy(logits, labels, hardest=1.0), cross_entropy(logits, labels))


def test_divergence_is_that_of_both_directions() -> None:
    p, q = _logits(2, 1).softmax(1), _logits(2, 2).softmax(1)
    voxels = np.prod(SHAPE)
    for i, found in enumerate(symmetric_kl(p, q)):
        there, back = (p[i] * (p[i] / q[i]).log()).sum(), (q[i] * (q[i] / p[i]).log()).sum()
        assert found.item() == pytest.approx((there + back).item() / K / voxels)


def test_divergence_is_symmetric_and_0_only_for_equals() -> None:
    p, q = _logits(2, 1).softmax(1), _logits(2, 2).softmax(1)
    assert torch.equal(symmetric_kl(p, q), symmetric_kl(q, p))
    assert (symmetric_kl(p, q) > 0).all()
    assert symmetric_kl(p, p).tolist() == [0.0, 0.0]
    nearly = 0.999 * p + 0.001 * q
    assert (symmetric_kl(p, nearly) > 0).all()


def test_certainty_has_a_finite_divergence() -> None:
    sure = functional.one_hot(_labels()[:, 0], K).movedim(-1, 1).double()
    other = sure.roll(1, 1).requires_grad_()
    loss = symmetric_kl(sure, other)
    (gradient,) = torch.autograd.grad(loss.sum(), other)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()


def test_gradients_are_derivatives() -> None:
    logits, other = (_logits(2, s)[..., :3, :3].clone().requires_grad_() for s in (1, 2))
    labels = _labels(2)[..., :3, :3]
    weights = balanced_weights(labels, K).double()
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels, weights), (logits,))
    assert torch.autograd.gradcheck(lambda x, y: symmetric_kl(x.softmax(1), y.softmax(1)), (logits, other))
