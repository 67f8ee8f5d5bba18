"""JRSS: what each term teaches, screened pseudo-labels, the student's noise, and the order of the steps."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from JointRegSegLib import methods
from JointRegSegLib.fields import warp
from JointRegSegLib.losses import diffusion, mean_squares
from JointRegSegLib.methods.jrss.objectives import (
    LabelledView,
    RegistrationView,
    StudentView,
    registration_terms,
    student_terms,
    supervision_terms,
)
from JointRegSegLib.methods.jrss.screening import is_accepted, pseudo_labels
from JointRegSegLib.networks import UNetLight, VoxelMorph
from JointRegSegLib.training.curves import read_curves
from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.phases import training_only
from JointRegSegLib.training.schedules import at
from JointRegSegLib.training.targets import IGNORED
from JointRegSegLib.training.trainer import CURVES
from Testing.engine.method_cases import (
    CLASSES,
    SHAPE,
    batch_of,
    check_reach,
    check_trains_only,
    made,
    method_dataset,
    run,
    same,
    settings_of,
    subject,
    weights,
)
from Testing.engine.network_cases import check_groups
from Testing.engine.tensor_cases import noise
from Testing.engine.training_cases import Scripted

SHORT = {"reg_steps": 2, "seg_steps": 2, "rounds": 2, "turns": 2, "unit": 1}
EVERYTHING = {"tau": 0.0}
"""A probability that the most probable class always reaches; every structure somewhere has more than none."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def jrss(labelled: int = 1, noise: dict[str, Any] | None = None, **strategy: Any) -> tuple[Any, Any, Dataset]:
    dataset = method_dataset(labelled)
    settings = settings_of("jrss", strategy={**SHORT, **strategy}, noise=noise or {})
    return *made("jrss", settings, dataset), dataset


def relabelled(number: int, kept: bool = True) -> Sample:
    """A subject with labels, or with nothing but ignored voxels."""
    sample = subject(number)
    assert sample.label is not None
    return sample if kept else dataclasses.replace(sample, label=torch.full_like(sample.label, IGNORED))


def student_view(
    model: Any, teacher: Any, noise: bool = True, other_moves: bool = False, accepted: bool = True
) -> StudentView:
    batch = batch_of((relabelled(0), relabelled(1, accepted)))
    return StudentView(model, teacher, batch, CLASSES, noise, [other_moves])


def parts_of(terms: Any, view: Any) -> dict[str, Tensor]:
    return {term.name: term.fn(view).detach() for term in terms}


def test_the_networks_may_be_those_of_deepatlas(tmp_path: Path) -> None:
    """With the student's noise, and without it in the teacher."""
    settings = settings_of("jrss", "unet", strategy={**SHORT, **EVERYTHING})
    dataset = method_dataset(1)
    model, strategy = made("jrss", settings, dataset)
    assert isinstance(model.reg_net, VoxelMorph)
    assert isinstance(model.student, UNetLight)
    assert model.student.drop.p == model.seg_net.drop.p == 0.5
    image = subject(0).image
    model.student.train()
    torch.manual_seed(0)
    first, second = model.study(image), model.study(image)
    assert not torch.equal(first, second)
    model.eval()
    assert torch.equal(model.segment(image), model.segment(image))
    check_groups(model)
    run(strategy, model, dataset, tmp_path)


@pytest.mark.parametrize("labels", [True, False])
def test_terms_of_registration_reach_registration_alone(labels: bool) -> None:
    model, _, _ = jrss()
    view = RegistrationView(model, batch_of((relabelled(0), relabelled(1, labels))), CLASSES)
    terms = registration_terms(settings_of("jrss").loss, 0.025)
    overlap = {"reg"} if labels else set()
    check_reach(terms, view, model, {"similarity": {"reg"}, "smoothness": {"reg"}, "overlap": overlap})


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("other_moves", [True, False])
@pytest.mark.parametrize("accepted", [True, False])
def test_terms_of_the_student_reach_it_alone(noise: bool, other_moves: bool, accepted: bool) -> None:
    """Never the registration network; and the teacher has no gradient, although nothing here is frozen but itself."""
    model, strategy, _ = jrss()
    with torch.no_grad():  # a teacher that is its student to the bit has nothing to say
        strategy._teacher.seg_net.head.bias.add_(torch.tensor([1.0, -1.0, 0.5]))
    terms = student_terms(settings_of("jrss").loss, torch.ones(CLASSES))
    view = student_view(model, strategy._teacher, noise, other_moves, accepted)
    overlap = {"seg"} if accepted else set()
    check_reach(terms, view, model, {"classification": {"seg"}, "uncertainty": {"seg"}, "overlap": overlap})
    assert not any(p.requires_grad for p in strategy._teacher.seg_net.parameters())
    assert not view.taught.requires_grad


def test_supervision_reaches_segmentation_alone() -> None:
    model, _, _ = jrss()
    view = LabelledView(model, batch_of((subject(0),)), CLASSES)
    check_reach(supervision_terms(), view, model, {"overlap": {"seg"}})


def test_the_moving_scan_its_labels_and_the_teachers_word_move_together() -> None:
    model, strategy, _ = jrss()
    with torch.no_grad():  # one voxel along the first axis, everywhere
        model.reg_net.head.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
        model.reg_net.head.weight.zero_()
    model.eval()
    seen: list[Tensor] = []
    model.student.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    batch = batch_of((subject(0), subject(1)))
    field = torch.zeros(1, 3, *SHAPE)
    field[:, 0] = 1.0
    for other_moves, moving in ((False, 0), (True, 1)):
        view = StudentView(model, strategy._teacher, batch, CLASSES, True, [other_moves])
        still = 1 - moving
        assert view.logits.shape == (2, CLASSES, *SHAPE)
        assert torch.allclose(seen[-1][moving], warp(batch.images(moving), field)[0], atol=1e-6)
        assert torch.equal(seen[-1][still], batch.images(still)[0])
        labels = [batch.labels(0), batch.labels(1)]
        assert torch.equal(view.labels[moving].float(), warp(labels[moving].float(), field, "nearest")[0])
        assert torch.equal(view.labels[still], labels[still][0])
        word = strategy._teacher.segment(torch.cat([batch.images(0), batch.images(1)])).softmax(1)
        assert torch.allclose(view.taught[moving], warp(word[moving][None], field)[0], atol=1e-5)
        assert torch.allclose(view.taught[still], word[still], atol=1e-6)
        others, manual, counted = view.anatomy
        assert torch.equal(others, view.probabilities[1:])
        expected = warp(labels[0].float(), field) if moving == 0 else labels[0].float()
        assert torch.allclose(manual.argmax(1, keepdim=True).float(), expected.round(), atol=1e-6)
        assert bool(counted.eq(1).all())
        plain = StudentView(model, strategy._teacher, batch, CLASSES, False, [other_moves])
        assert torch.equal(plain.labels, torch.cat([labels[0], labels[1]]))
        carried = plain.probabilities[1:] if moving == 0 else warp(plain.probabilities[1:], field)
        assert torch.allclose(plain.anatomy[0], carried, atol=1e-6)
        assert torch.equal(plain.anatomy[1], manual)


@pytest.mark.parametrize("noise", [True, False])
def test_a_batch_of_two_is_two_batches_of_one(noise: bool) -> None:
    """Whichever scan of each item moves, so that two processes see what one with the doubled batch sees."""
    model, strategy, _ = jrss()
    model.eval()
    pairs = [(relabelled(0), relabelled(1)), (relabelled(2), relabelled(3))]
    terms = student_terms(settings_of("jrss").loss, torch.ones(CLASSES))
    for moves in ([False, True], [True, True], [False, False]):
        both = parts_of(terms, StudentView(model, strategy._teacher, batch_of(*pairs), CLASSES, noise, moves))
        each = [
            parts_of(terms, StudentView(model, strategy._teacher, batch_of(pair), CLASSES, noise, [move]))
            for pair, move in zip(pairs, moves, strict=True)
        ]
        for name, value in both.items():
            assert torch.allclose(value.mean(), torch.stack([part[name].mean() for part in each]).mean(), atol=1e-6)


def test_each_item_draws_which_of_its_scans_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    _, strategy, _ = jrss()
    batch = batch_of((relabelled(0), relabelled(1)), (relabelled(2), relabelled(3)))
    batch = dataclasses.replace(batch, random=tuple(torch.Generator().manual_seed(seed) for seed in (0, 1)))
    drawn: list[list[bool]] = []

    def told(*given: Any) -> StudentView:
        drawn.append(given[-1])
        return StudentView(*given)

    monkeypatch.setattr(sys.modules[type(strategy).__module__], "StudentView", told)
    strategy.study(batch)
    assert drawn == [[True, False]]  # the generators' first numbers are 0.50 - 0.004 and 0.76


def test_a_scan_that_was_not_accepted_teaches_by_the_teacher_alone() -> None:
    model, strategy, _ = jrss()
    model.eval()
    terms = student_terms(settings_of("jrss").loss, torch.ones(CLASSES))
    accepted, refused = (parts_of(terms, student_view(model, strategy._teacher, accepted=yes)) for yes in (True, False))
    assert float(refused["overlap"]) == 0.0 < float(accepted["overlap"])
    assert float(accepted["classification"]) > float(refused["classification"]) > 0.0
    assert torch.equal(accepted["uncertainty"], refused["uncertainty"])


def test_screening_keeps_sure_voxels_of_scans_that_show_every_structure() -> None:
    rows = torch.tensor([[0.9, 0.05, 0.05], [0.2, 0.75, 0.05], [0.3, 0.1, 0.6], [0.1, 0.05, 0.85]])
    probabilities = rows.T.reshape(1, 3, 1, 1, 4)

    def kept(tau: float | None) -> list[int]:
        return pseudo_labels(probabilities, tau).flatten().tolist()

    assert kept(None) == kept(0.5) == [0, 1, 2, 2]
    assert kept(0.7) == [0, 1, -1, 2]
    assert kept(0.8) == [-1] * 4  # structure 1 is nowhere surer than 0.75
    assert kept(1.0) == [-1] * 4
    assert is_accepted(pseudo_labels(probabilities, 0.7))
    assert not is_accepted(pseudo_labels(probabilities, 0.8))


@pytest.mark.parametrize("tau", [0.5, 0.6, 0.7, 0.8])
def test_an_available_class_has_a_kept_voxel(tau: float) -> None:
    for seed in range(5):
        probabilities = (2.0 * noise((6, 7, 8), 4, seed)).softmax(1)
        labels = pseudo_labels(probabilities, tau)
        every = all(bool((probabilities[:, k] > tau).any()) for k in (1, 2, 3))
        assert is_accepted(labels) is every
        assert not every or set(labels.unique().tolist()) >= {1, 2, 3}


def test_nothing_passes_at_tau_one(tmp_path: Path) -> None:
    """Registration then has its images alone, on all scans; the student its manual labels and the teacher's word."""
    model, strategy, dataset = jrss(tau=1.0)
    strategy._begin_round()
    phases = {phase.name: phase for phase in strategy.phases()}
    assert {name for i in range(60) for name in phases["reg"].sampler[i]} == {*dataset.labelled, *dataset.unlabelled}
    items = [(dataset[a], dataset[b]) for a, b in (("s0", "s1"), ("s2", "s0"))]
    model.eval()
    losses = strategy.register(batch_of(*items))
    ready = strategy._prepared(batch_of(*items), 0.0375)  # the same draws
    field = model.register(ready.images(0), ready.images(1))
    expected = mean_squares(ready.images(1), warp(ready.images(0), field)) + 0.025 * diffusion(field).mean()
    assert float(losses.parts["overlap"]) == 0.0
    assert float(losses.total.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    run(Scripted(dataclasses.replace(phases["seg"], steps=2)), model, dataset, tmp_path)
    assert [line["parts"]["overlap"] for line in read_curves(tmp_path / CURVES)] == [0.0, 0.0]


def test_what_was_accepted_takes_part() -> None:
    _, strategy, dataset = jrss(2, **EVERYTHING)
    before = {phase.name: phase for phase in strategy.phases()}
    strategy._begin_round()
    strategy._pseudo["s2"].fill_(IGNORED)
    after = {phase.name: phase for phase in strategy.phases()}
    assert {before["seg"].sampler[i][1] for i in range(20)} == {"s2", "s3"} == set(dataset.unlabelled)
    assert {after["seg"].sampler[i] for i in range(20)} == {("s0", "s3"), ("s1", "s3")}
    assert len(after["reg"].sampler) == 3 * 2
    labels = [scan.label for scan in strategy._prepared(batch_of((dataset["s0"], dataset["s3"])), 0.0).items[0]]
    assert torch.equal(labels[0], dataset["s0"].label)
    assert torch.equal(labels[1], strategy._pseudo["s3"].long())
    assert torch.equal(labels[1], strategy._labeller.segment(dataset["s3"].image).argmax(1, keepdim=True))


def test_without_screening_every_label_counts() -> None:
    _, strategy, dataset = jrss(tau=1.0, screening=False)
    strategy._begin_round()
    assert set(strategy._pseudo) == set(dataset.unlabelled)
    assert all(bool((labels >= 0).all()) for labels in strategy._pseudo.values())


def test_the_teacher_has_neither_dropout_nor_gradient(tmp_path: Path) -> None:
    model, strategy, dataset = jrss()
    strategy._begin_round()
    image = subject(1).image
    assert sum(isinstance(module, nn.Dropout3d) for module in strategy._teacher.seg_net.modules()) == 2
    with training_only(model, "seg"):
        assert torch.equal(strategy._teacher.segment(image), strategy._teacher.segment(image))
        assert torch.equal(model.segment(image), model.segment(image))
        assert not torch.equal(model.study(image), model.study(image))
    seg = next(phase for phase in strategy.phases() if phase.name == "seg")
    run(Scripted(dataclasses.replace(seg, steps=2)), model, dataset, tmp_path)
    assert all(p.grad is None for p in strategy._teacher.seg_net.parameters())


def test_a_network_that_learns_alone_has_no_dropout() -> None:
    model, strategy, _ = jrss()
    with training_only(model, "seg"):
        losses = [float(strategy.supervise(batch_of((subject(0),))).total.detach()) for _ in range(2)]
        assert losses[0] == losses[1]
        assert all(module.training for module in model.student.modules())


@pytest.mark.parametrize("update", ["round", "step"])
def test_the_teacher_of_the_round_stays_and_that_of_the_step_follows(update: str, tmp_path: Path) -> None:
    model, strategy, dataset = jrss(teacher_update=update, **EVERYTHING)
    strategy._begin_round()
    assert same(weights(strategy._teacher.seg_net), weights(model.student))
    word = weights(strategy._teacher.seg_net)
    seg = next(phase for phase in strategy.phases() if phase.name == "seg")
    run(Scripted(dataclasses.replace(seg, steps=3)), model, dataset, tmp_path)
    assert strategy._mean.updates == 3
    assert same(weights(strategy._teacher.seg_net), word) is (update == "round")
    strategy._begin_round()
    assert same(weights(strategy._teacher.seg_net), weights(model.seg_net))
    assert not same(weights(strategy._teacher.seg_net), weights(model.student))


def test_what_segments_is_the_teacher_and_stays_without_the_student(tmp_path: Path) -> None:
    model, strategy, dataset = jrss()
    check_groups(model)
    first = next(phase for phase in strategy.phases() if phase.name == "first seg")
    run(Scripted(dataclasses.replace(first, steps=3)), model, dataset, tmp_path)
    model.eval()
    image = subject(1).image[..., :-3]
    before = model.segment(image)
    assert not torch.equal(before, model.study(image))
    model.strip_training_branches()
    check_groups(model)
    loaded = methods.build("jrss", settings_of("jrss"), CLASSES).eval()
    loaded.strip_training_branches()
    loaded.load_state_dict(model.state_dict())
    assert torch.equal(model.segment(image), before)
    assert torch.allclose(loaded.segment(image), before, atol=1e-5)


def test_each_step_moves_its_network_alone(tmp_path: Path) -> None:
    model, strategy, dataset = jrss(2)
    for name, phases in groupby(sorted(strategy.phases(), key=lambda phase: phase.name), key=lambda phase: phase.name):
        if name != "label":
            check_trains_only(next(phases), model, dataset, tmp_path / name)


def test_a_round_has_five_steps_of_registration_to_one() -> None:
    _, strategy, _ = jrss(unit=2, shares=(1.0, 1.0, 2.0))
    phases = list(strategy.phases())
    names = [(phase.name, phase.steps) for phase in phases]
    assert names == [("first reg", 2), ("first seg", 2), *([("label", 0), *[("reg", 10), ("seg", 2)] * 2] * 2)]
    assert strategy.total_steps == sum(phase.steps for phase in phases)
    stages = {phase.stage: phase.until for phase in phases[2:]}
    assert [phase.until for phase in phases[:2]] == [0.25, 0.5]
    assert stages == {"round 1": 0.75, "round 2": 1.0}


def test_without_rounds_or_unlabelled_scans_each_network_learns_alone() -> None:
    for strategy in (jrss(rounds=0)[1], jrss(4)[1]):
        phases = list(strategy.phases())
        assert [phase.name for phase in phases] == ["first reg", "first seg"]
        assert phases[-1].until == 1.0
        assert strategy.total_steps == 4


def test_learning_rates_and_weights_follow_their_schedules() -> None:
    _, strategy, _ = jrss(unit=10)
    rates = {phase.name: phase.optimiser for phase in strategy.phases()}
    assert [at(rates["reg"].lr, step) for step in (0, 9, 10, 25)] == pytest.approx(
        [4e-4, 4e-4, 4e-4 * 0.99, 4e-4 * 0.99**2]
    )
    assert at(rates["seg"].lr, 10) == pytest.approx(1e-3 * 0.99)
    gentle = {phase.name: phase.optimiser for phase in jrss(unit=10, student_lr=3e-4)[1].phases()}
    assert [at(gentle[name].lr, 10) for name in ("first seg", "seg")] == pytest.approx([1e-3 * 0.99, 3e-4 * 0.99])
    assert (rates["reg"].weight_decay, rates["seg"].weight_decay) == (0.0, 1e-4)
    first = {term.name: term.weight for term in strategy._first_registration}
    assert [at(first["smoothness"], step) for step in (0, 150, 300, 900)] == pytest.approx([0.25, 0.1375, 0.025, 0.025])
    assert {term.name: term.weight for term in strategy._registration} == {
        "similarity": 1.0,
        "smoothness": 0.025,
        "overlap": 0.1,
    }
    assert {term.name: term.weight for term in strategy._student} == {
        "classification": 1.0,
        "uncertainty": 0.5,
        "overlap": 1.0,
    }


def test_every_other_item_is_moved_as_a_whole() -> None:
    _, strategy, _ = jrss()
    many = batch_of(*[(subject(0), subject(0))] * 40)
    moved = strategy._prepared(many, 0.075)
    still = 0
    for (a, b), (before, _) in zip(moved.items, many.items, strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.label, b.label)
        still += torch.equal(a.image, before.image)
    assert 10 < still < 30
    assert Counter(len(item) for item in moved.items) == {2: 40}
