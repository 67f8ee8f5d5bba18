"""Bi-JROS: its published size, what each step teaches and leaves alone, the response, and a short run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from JointRegSegLib.fields import warp
from JointRegSegLib.methods.bijros.model import SharedEncoderModel
from JointRegSegLib.methods.bijros.objectives import (
    PairView,
    alignment_terms,
    follower_terms,
    leader_terms,
    supervision_terms,
)
from JointRegSegLib.methods.bijros.response import with_response
from JointRegSegLib.networks import placed, reached_groups
from JointRegSegLib.training.dataset import Sample
from JointRegSegLib.training.phases import Batch, training_only
from JointRegSegLib.training.recomputing import recompute_activations
from JointRegSegLib.training.terms import weighted_sum
from Testing.engine.coupled_cases import (
    SMALL,
    size,
    small_dataset,
    small_subject,
)
from Testing.engine.method_cases import CLASSES, batch_of, check_reach, made, run, same, settings_of, weights
from Testing.engine.network_cases import check_groups
from Testing.engine.tensor_cases import generator, largest, texture
from Testing.engine.training_cases import Scripted

SHORT = {"encoder_steps": 1, "turns": 1}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shared(sharing: bool = True, displaced: bool = False) -> SharedEncoderModel:
    """A model; its fields are a quarter of a voxel and more where `displaced`."""
    torch.manual_seed(0)
    model = placed(SharedEncoderModel(CLASSES, sharing), "cpu")
    if displaced:
        with torch.no_grad():
            model.reg_decoder.head.weight.normal_(0.0, 0.05, generator=generator(4))
    return model


def pair() -> tuple[Sample, Sample]:
    return small_subject(0), small_subject(1, known=False)


def view_of(model: SharedEncoderModel, appearance: float | None = 0.3) -> PairView:
    return PairView(model, batch_of(pair()), CLASSES, None if appearance is None else [appearance])


def bijros(preset: str = "preset", **strategy: Any) -> tuple[Any, Any, Any]:
    dataset = small_dataset()
    settings = settings_of("bijros", preset, strategy={**SHORT, **strategy})
    return *made("bijros", settings, dataset), dataset


def gradients(loss: Tensor, model: SharedEncoderModel, group: Any) -> Tensor:
    found = torch.autograd.grad(loss, model.groups()[group], retain_graph=True)
    return torch.cat([g.flatten() for g in found])


def test_sizes_of_the_parts() -> None:
    model = SharedEncoderModel(14)
    assert size(model.encoder) == 3_515_040
    assert size(model.reg_decoder) == 2_932_803
    assert size(model.seg_decoder) == 2_087_918
    assert size(model) == 8_535_761
    check_groups(model)
    check_groups(SharedEncoderModel(14, sharing=False))


def test_both_directions_are_predicted_and_change_places_with_the_scans() -> None:
    model, (moving, fixed) = shared().eval(), pair()
    there, back = model(moving.image, fixed.image), model(fixed.image, moving.image)
    assert torch.equal(there.field, back.inverse_field)
    assert torch.equal(there.inverse_field, back.field)
    assert torch.equal(there.seg_moving, back.seg_fixed)
    assert not torch.equal(there.field, there.inverse_field)
    assert 0 < largest(there.field.detach()) < 0.05


@pytest.mark.parametrize("sharing", [True, False])
def test_no_more_is_computed_than_is_asked_for(sharing: bool) -> None:
    model, (moving, fixed) = shared(sharing).eval(), pair()
    both = model(moving.image, fixed.image)
    reg, seg = (model(moving.image, fixed.image, (task,)) for task in ("reg", "seg"))
    assert reg.seg_moving is reg.seg_fixed is seg.field is seg.inverse_field is None
    assert torch.equal(reg.field, both.field)
    assert torch.equal(seg.seg_fixed, both.seg_fixed)
    assert torch.equal(model.segment(fixed.image), both.seg_fixed)
    odd = texture((15, 21, 10), seed=3, dtype=torch.float32)
    assert model.register(odd, odd).shape == (1, 3, 15, 21, 10)
    assert model.segment(odd).shape == (1, CLASSES, 15, 21, 10)


def test_the_pseudo_image_takes_on_a_share_of_the_warped_target() -> None:
    model = shared(displaced=True).eval()
    with torch.no_grad():
        view, half, off = view_of(model, 0.2), view_of(model, 0.0), view_of(model, None)
        forth, back = view.fields
        twice = warp(warp(view.target, back), forth)
        assert torch.allclose(view.pseudo_image, 0.2 * twice + 0.8 * view.target, atol=1e-6)
        assert torch.equal(half.pseudo_image, half.target)
        assert torch.equal(off.pseudo_image, warp(off.atlas, forth))
        assert torch.equal(view.warped_label, warp(view.label, forth))
        assert not torch.allclose(twice, view.target, atol=1e-3)


def test_the_second_warp_may_be_of_nearest_voxels_which_cuts_the_gradient() -> None:
    model = shared(displaced=True)
    batch = batch_of(pair())
    smooth, nearest = (PairView(model, batch, CLASSES, [0.3], mode) for mode in ("bilinear", "nearest"))
    forth, back = nearest.fields
    twice = warp(warp(nearest.target, back), forth, "nearest")
    assert torch.allclose(nearest.pseudo_image, 0.3 * twice + 0.7 * nearest.target, atol=1e-6)
    for view in (smooth, nearest):
        (gradient,) = torch.autograd.grad(view.pseudo_image.sum(), view.fields[0], allow_unused=True)
        assert (gradient is not None and bool(gradient.any())) is (view is smooth)
    _, strategy, _ = bijros("second_warp")
    assert strategy._view(batch)._second_warp == "nearest"


def test_the_frozen_encoder_may_normalise_by_its_batch(tmp_path: Path) -> None:
    """Then its running statistics go on, and nothing else of it."""
    model, strategy, dataset = bijros("encoder_norm")
    _, seg, reg = strategy.phases()
    for phase in (seg, reg):
        before = weights(model.encoder)
        run(Scripted(dataclasses.replace(phase, steps=1)), model, dataset, tmp_path / phase.name)
        after = model.encoder.state_dict()
        moved = {name.rsplit(".", 1)[1] for name in after if not torch.equal(before[name], after[name])}
        assert moved == {"running_mean", "running_var", "num_batches_tracked"}


def test_the_share_is_drawn_within_its_limits() -> None:
    """Drawn anew for each pair of each step, and not where the constraint is off."""
    _, strategy, _ = bijros()
    shares = []
    for draw in range(40):
        batch = Batch(batch_of(pair()).items, 0, (generator(draw),))
        shares += strategy._view(batch)._appearance
    assert 0.05 <= min(shares) < 0.1
    assert 0.35 < max(shares) <= 0.4
    _, without, _ = bijros("acc")
    assert without._view(batch)._appearance is None


def test_what_each_term_reaches() -> None:
    model, loss = shared(displaced=True), settings_of("bijros").loss
    aligns: dict[str, set[str]] = {name: {"enc", "reg"} for name in ("similarity", "cycle", "smoothness")}
    everything = {"enc", "reg", "seg"}
    view = view_of(model)
    check_reach(leader_terms(loss), view, model, {**aligns, "overlap": everything})
    check_reach(supervision_terms(), view, model, {"atlas overlap": {"enc", "seg"}})
    check_reach(follower_terms(), view, model, {"pseudo overlap": everything})
    apart = shared(sharing=False)
    terms = [*alignment_terms(loss), *supervision_terms()]
    check_reach(terms, view_of(apart), apart, {**aligns, "atlas overlap": {"seg"}})


def test_what_steps_reach_with_what_they_freeze() -> None:
    """The follower's step reaches segmentation alone; the leader's also reads there, and the encoder never moves."""
    _, strategy, _ = bijros()
    model = strategy._model
    _, seg, reg = strategy.phases()
    with training_only(model, *seg.groups, reading=seg.reading):
        assert reached_groups(seg.step(batch_of(pair())).total, model) == {"seg"}
    with training_only(model, *reg.groups, reading=reg.reading):
        assert reached_groups(reg.step(batch_of(pair())).total, model) == {"reg", "seg"}
        assert not model.encoder.training
        assert not model.seg_decoder.training


def test_each_step_moves_its_part_alone(tmp_path: Path) -> None:
    """To the bit, running statistics and all; so the encoder is what it was after any number of turns."""
    model, strategy, dataset = bijros()
    _, seg, reg = strategy.phases()
    for phase in (seg, reg):
        before = weights(model)
        run(Scripted(dataclasses.replace(phase, steps=1)), model, dataset, tmp_path / phase.name)
        after = weights(model)
        moved = {name.split("_")[0] for name in after if not torch.equal(before[name], after[name])}
        assert moved == set(phase.groups)


def test_the_decoders_begin_anew_upon_the_trained_encoder(tmp_path: Path) -> None:
    model, strategy, dataset = bijros(turns=0)
    before = weights(model)
    run(strategy, model, dataset, tmp_path)
    changes = {name: float((tensor.detach() - before[name]).abs().max()) for name, tensor in model.named_parameters()}
    assert all(0 < changes[name] < 2e-4 for name in changes if name.startswith("encoder."))
    convolutions = [name for name, tensor in model.named_parameters() if tensor.dim() == 5 and "decoder." in name]
    assert all(changes[name] > 1e-3 for name in convolutions if "reg_decoder.head" not in name)
    counts = {name: int(count) for name, count in model.named_buffers() if name.endswith("num_batches_tracked")}
    assert {name.startswith("encoder.") for name, count in counts.items() if count} == {True}
    assert {"_decoder." in name for name, count in counts.items() if not count} == {True}


def test_the_response_is_that_of_the_pseudo_inverse() -> None:
    """The Hessian as g g^T: grad_w leader - (h g^T) pinv(g g^T) grad_theta leader (Eq. 5)."""
    w, theta = (torch.randn(n, generator=generator(n), dtype=torch.float64).requires_grad_() for n in (3, 5))
    a, b = (torch.randn(5, 3, generator=generator(n), dtype=torch.float64) for n in (8, 9))
    leader = (theta + a @ w).sin().sum() + w.square().sum()
    follower = ((theta - b @ w).square() * torch.arange(1, 6)).sum()
    asked, own = (torch.autograd.grad(f, theta, retain_graph=True)[0] for f in (leader, follower))
    plain, theirs = (torch.autograd.grad(f, w, retain_graph=True)[0] for f in (leader, follower))
    expected = plain - torch.outer(theirs, own) @ torch.linalg.pinv(torch.outer(own, own)) @ asked
    total, share = with_response(leader, follower, [theta])  # type: ignore[list-item]
    assert not share.requires_grad
    assert torch.allclose(torch.autograd.grad(total, w)[0], expected, rtol=1e-10)


def test_a_follower_that_is_not_asked_changes_nothing() -> None:
    """What the leader wants of theta is orthogonal to what the follower does."""
    w, theta = torch.tensor([0.5], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    leader, follower = theta[0] * w[0] + w[0] ** 2, theta[1] * w[0]
    total, share = with_response(leader, follower, [theta])  # type: ignore[list-item]
    assert float(share) == 0.0
    assert torch.equal(torch.autograd.grad(total, w)[0], torch.tensor([2.0]))


def test_one_dice_term_for_both_would_cancel_itself() -> None:
    """Why Eq. 9 and 10 must not mean the same prediction: nothing but the gradient of L_reg would be left."""
    model, loss = shared(displaced=True), settings_of("bijros", loss={"overlap": 1.7}).loss
    view = view_of(model)
    aligned = weighted_sum(alignment_terms(loss), view, 0).total
    pseudo = weighted_sum(follower_terms(), view, 0).total
    leader = weighted_sum(leader_terms(loss), view, 0).total
    theta = model.groups()["seg"]
    alone = gradients(aligned, model, "reg")
    literal, share = with_response(aligned + loss.overlap * pseudo, pseudo, theta)
    ours, _ = with_response(leader, pseudo, theta)
    assert float(share) == pytest.approx(1.7, rel=1e-5)
    left, kept = (gradients(total, model, "reg") - alone for total in (literal, ours))
    assert float(left.norm()) < 0.01 * float(kept.norm())


def test_without_response_the_leader_follows_its_own_gradient() -> None:
    model, plain, _ = bijros("gradient_response")
    (_, _, reg), batch = plain.phases(), batch_of(pair())
    assert reg.reading == ()
    with training_only(model, *reg.groups):
        found = gradients(plain.register(batch_of(pair())).total, model, "reg")
        view = plain._view(plain._moved(batch))
        expected = gradients(weighted_sum(plain._leader, view, 0).total, model, "reg")
    assert torch.equal(found, expected)


def test_the_response_may_be_had_from_recomputed_activations() -> None:
    """Each of its three gradients computes them again, and none of that counts in running statistics."""
    found = []
    for recomputing in (False, True):
        model, strategy, _ = bijros()
        if recomputing:
            recompute_activations(model)
        with training_only(model, "reg", reading=("seg",)):
            total = strategy.register(batch_of(pair())).total
            found.append((float(total.detach()), gradients(total, model, "reg"), dict(model.named_buffers())))
    (value, gradient, buffers), (again, its, its_buffers) = found
    assert again == pytest.approx(value, rel=1e-5)
    assert torch.allclose(its, gradient, rtol=1e-3, atol=1e-6)
    assert same(its_buffers, buffers)


def test_registration_steps_move_both_scans_alike() -> None:
    _, strategy, _ = bijros()
    atlas = small_subject(0)
    batch = strategy._moved(batch_of((atlas, atlas)))
    ((first, second),) = batch.items
    assert torch.equal(first.image, second.image)
    assert first.image.shape[2:] == SMALL
    assert not torch.allclose(first.image, atlas.image, atol=0.05)
    assert first.label is not None
    assert set(first.label.unique().tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("preset", [("all", 5)] + [("seg", 1), ("reg", 1)] * 3),
        ("frozen_encoder", [("all", 11)]),
        ("mono", [("all", 11)]),
    ],
)
def test_stages(preset: str, expected: list[tuple[str, int]]) -> None:
    _, strategy, _ = bijros(preset, encoder_steps=5, turns=3)
    phases = list(strategy.phases())
    assert [(phase.name, phase.steps) for phase in phases] == expected
    assert [phase.until for phase in phases] == ([0.3] + [1.0] * 6 if preset == "preset" else [1.0])
    assert phases[0].sampler.items == (("s0", "s1"), ("s0", "s2"))
    parts = phases[0].step(batch_of(pair())).parts
    assert ("overlap" in parts) is (preset != "mono")
