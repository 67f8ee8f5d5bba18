"""Several atlases, one label map: known answers and the laws that every way of voting keeps."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from JointRegSegLib import fusion
from JointRegSegLib.fusion import Opinion, Stack, combine, consensus
from JointRegSegLib.fusion import stack as stacks
from JointRegSegLib.fusion.joint import weights_of
from JointRegSegLib.job.fusion import Fusion

SHAPE = (14, 18, 16)
EVERY = [how for how in Fusion if how is not Fusion.AUTO]
WEIGHED = [fusion.similarity_weights, fusion.joint_weights]


def texture(seed: int) -> NDArray[np.float32]:
    """A smooth random image, 0 to 1."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.2)
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def two_balls(shift: int = 0) -> NDArray[np.uint16]:
    """Labels 3 and 7 side by side, moved along the last axis."""
    z, y, x = np.ogrid[:14, :18, :16]
    labels = np.zeros(SHAPE, np.uint16)
    labels[(z - 7) ** 2 + (y - 6) ** 2 + (x - shift - 8) ** 2 < 16] = 3
    labels[(z - 7) ** 2 + (y - 12) ** 2 + (x - shift - 8) ** 2 < 16] = 7
    return labels


def stack(target: NDArray[np.float32], atlases: list[tuple[NDArray[np.float32], NDArray[np.uint16]]]) -> Stack:
    images = np.stack([image for image, _ in atlases]).astype(np.float16)
    return Stack(target, images, np.stack([labels for _, labels in atlases]), (1.0, 1.0, 1.0))


def some_stack() -> Stack:
    target = texture(0)
    moved = [(np.roll(target, s, 2) + 0.05 * texture(9 + s), two_balls(s)) for s in (0, 1, -1, 2)]
    return stack(target, moved)


@pytest.mark.parametrize("how", EVERY)
def test_atlases_that_agree_are_believed(how: Fusion) -> None:
    labels = two_balls()
    found = combine(stack(texture(0), [(texture(n), labels) for n in (1, 2, 3)]), how)
    inside = labels > 0
    # The blur rounds corners, where a voxel has more neighbours of other labels than of its own.
    share = 1.0 if how in (Fusion.MAJORITY, Fusion.STAPLE) else 0.9
    assert (found.labels == labels)[inside].mean() >= share
    assert set(np.unique(found.labels)) == {0, 3, 7}


def test_joint_label_fusion_is_the_default() -> None:
    auto, joint = (combine(some_stack(), how) for how in (Fusion.AUTO, Fusion.JOINT))
    assert np.array_equal(auto.labels, joint.labels)
    assert np.array_equal(auto.confidence, joint.confidence)


@pytest.mark.parametrize("how", EVERY)
def test_confidence_is_a_share(how: Fusion) -> None:
    found = combine(some_stack(), how)
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1
    assert found.confidence[0].min() > 0.99  # air, in all atlases
    edge = fusion.disputed(some_stack().labels)
    assert found.confidence[edge].mean() < found.confidence[~edge].mean()


@pytest.mark.parametrize("how", EVERY)
def test_the_order_of_the_atlases_does_not_matter(how: Fusion) -> None:
    one = some_stack()
    order = [2, 0, 3, 1]
    other = Stack(one.target, one.images[order], one.labels[order], one.spacing)
    a, b = combine(one, how), combine(other, how)
    assert np.array_equal(a.labels, b.labels)
    assert np.allclose(a.confidence, b.confidence, atol=2e-3)


@pytest.mark.parametrize("weigh", WEIGHED)
def test_weights_sum_to_one_and_the_atlas_that_looks_like_the_target_has_most(weigh) -> None:
    target = texture(0)
    atlases = [(texture(n), two_balls(n % 3 - 1)) for n in (1, 2, 3)]
    atlases.insert(1, (target, two_balls()))
    weights = weigh(stack(target, atlases)).astype(np.float32)
    assert np.abs(weights.sum(0) - 1).max() < 3e-3
    disputed = fusion.disputed(np.stack([labels for _, labels in atlases]))
    assert (weights.argmax(0) == 1)[disputed].mean() > 0.95


@pytest.mark.parametrize("how", [Fusion.LOCAL, Fusion.JOINT])
def test_one_perfect_atlas_outvotes_those_that_agree_on_a_wrong_place(how: Fusion) -> None:
    target, right = texture(0), two_balls()
    wrong = [(texture(n), two_balls(3)) for n in (1, 2)]
    found = combine(stack(target, [*wrong, (target, right)]), how)
    plain = combine(stack(target, [*wrong, (target, right)]), Fusion.MAJORITY)
    assert (found.labels != right).mean() < 0.5 * (plain.labels != right).mean()


def test_background_may_win() -> None:
    labels = two_balls()
    nothing = np.zeros_like(labels)
    found = combine(
        stack(texture(0), [(texture(1), labels), (texture(2), nothing), (texture(3), nothing)]), Fusion.MAJORITY
    )
    assert not found.labels.any()
    assert found.confidence[labels > 0] == pytest.approx(2 / 3)


def test_a_tie_goes_to_the_smallest_label() -> None:
    a, b = np.full(SHAPE, 7, np.uint16), np.full(SHAPE, 3, np.uint16)
    found = combine(stack(texture(0), [(texture(1), a), (texture(2), b)]), Fusion.MAJORITY)
    assert (found.labels == 3).all()


def test_weights_of_two_atlases_that_err_alike_are_one_vote() -> None:
    """With M = [[1,1,0],[1,1,0],[0,0,1]] and alpha a: w1 = w2 = 1/(2+a) and w3 = 1/(1+a), scaled."""
    matrix = torch.tensor([[[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    found = weights_of(matrix, beta=2.0, alpha=0.1)[0]
    twin, single = 1 / 2.1, 1 / 1.1
    assert found.tolist() == pytest.approx([twin / (2 * twin + single)] * 2 + [single / (2 * twin + single)])


def test_the_local_search_finds_the_shift_that_was_made() -> None:
    target, labels = texture(0), two_balls()
    moved = stack(target, [(np.roll(target, 1, 1), np.roll(labels, 1, 1))] * 2)
    found = fusion.best_matches(moved, 1)
    inner = (slice(None), slice(3, -3), slice(3, -3), slice(3, -3))
    assert (found.labels[0] == labels)[inner[1:]].mean() > 0.97 > (moved.labels[0] == labels)[inner[1:]].mean()
    assert np.abs(found.images[inner] - target[inner[1:]]).mean() < 0.01


def test_slabs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {how: combine(some_stack(), how) for how in (Fusion.LOCAL, Fusion.JOINT)}
    small = partial(stacks.slabs, voxels=1)
    for module in ("counting", "similarity", "joint"):
        monkeypatch.setattr(f"JointRegSegLib.fusion.{module}.slabs", small)
    for how, found in whole.items():
        again = combine(some_stack(), how)
        assert np.array_equal(again.labels, found.labels)
        assert np.allclose(again.confidence, found.confidence, atol=2e-3)


def test_intensities_move_a_border_that_the_votes_leave_open() -> None:
    """Three atlases put a border at 6, 8 and 10; the target is bright up to 10."""
    target = np.zeros(SHAPE, np.float32)
    target[..., :10] = 1.0
    target += 0.02 * texture(5)
    labels = []
    for border in (6, 8, 10):
        labels.append(np.full(SHAPE, 2, np.uint16))
        labels[-1][..., :border] = 1
    atlases = stack(target, [(target, one) for one in labels])
    votes, looked = (consensus(atlases, blur=0.7, trust=trust) for trust in (0.0, 1.0))
    assert (votes.labels[..., 8:10] == 2).all()
    assert (looked.labels[..., 8:10] == 1).all()


def test_a_network_counts_as_much_as_its_weight() -> None:
    labels = two_balls()
    atlases = stack(texture(0), [(texture(n), labels) for n in (1, 2)])
    says = np.zeros((2, *SHAPE), np.float32)
    says[1] = 1.0
    values = np.array([0, 5], np.uint16)
    for weight, wins in ((0.9, False), (1.1, True)):
        found = combine(atlases, Fusion.MAJORITY, Opinion(values, says, weight))
        assert (found.labels == 5).all() == wins
        assert found.confidence == pytest.approx(max(1.0, weight) / (1 + weight))
    silent = np.zeros(SHAPE, np.float32)
    found = combine(atlases, Fusion.MAJORITY, Opinion(values, says, 9.0, silent))
    assert np.array_equal(found.labels, labels)


def test_the_weight_is_learned_from_how_well_the_network_finds_the_atlases() -> None:
    labels = [two_balls(s) for s in (-2, 0, 2)]
    atlases = stack(texture(0), [(texture(n), one) for n, one in enumerate(labels)])
    values = np.array([0, 3, 7], np.uint16)
    right = [np.stack([one == v for v in values]).astype(np.float16) for one in labels]
    wrong = [np.stack([one == v for v in (0, 7, 3)]).astype(np.float16) for one in labels]
    assert fusion.learned_weight(atlases, Fusion.MAJORITY, values, right) > 1.0
    assert fusion.learned_weight(atlases, Fusion.MAJORITY, values, wrong) == 0.0


def test_what_to_look_at_is_where_less_than_half_agree() -> None:
    labels = np.array([[1, 1, 1, 1], [2, 2, 0, 0]], np.uint16)
    confidence = np.array([[1.0, 0.8, 0.4, 0.2], [0.6, 0.6, 0.1, 0.1]], np.float32)
    found = fusion.confidence_of_labels(labels, confidence)
    assert found == {1: (pytest.approx(0.6), 0.5), 2: (pytest.approx(0.6), 0.0)}
    assert fusion.for_review(confidence).tolist() == [[False, False, True, True], [False, False, True, True]]


def test_maps_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="images"):
        Stack(texture(0), np.zeros((2, 3, 3, 3), np.float16), np.zeros((2, *SHAPE), np.uint16), (1.0, 1.0, 1.0))
