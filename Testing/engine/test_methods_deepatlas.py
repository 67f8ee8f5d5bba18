"""DeepAtlas: what each term teaches, what each step leaves alone, and the order of the steps."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch

from JointRegSegLib.methods.deepatlas.objectives import (
    LabelledView,
    RegistrationView,
    SegmentationView,
    alignment_terms,
    registration_terms,
    segmentation_terms,
    supervision_terms,
)
from JointRegSegLib.networks import ObeliskRegistration, ObeliskSegmentation
from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.phases import Phase
from JointRegSegLib.training.samplers import AvailabilityBuckets
from JointRegSegLib.training.schedules import at
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
from Testing.engine.training_cases import Scripted

SHORT = {"reg_steps": 2, "seg_steps": 2, "joint_steps": 42}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def deepatlas(labelled: int = 1, loss: dict[str, Any] | None = None, **strategy: Any) -> tuple[Any, Any, Dataset]:
    dataset = method_dataset(labelled)
    settings = settings_of("deepatlas", strategy={**SHORT, **strategy}, loss=loss or {})
    return *made("deepatlas", settings, dataset), dataset


def pair(case: str) -> tuple[Sample, Sample]:
    """Moving and fixed subject, of which those with a 1 are labelled."""
    moving, fixed = (
        dataclasses.replace(s, label=s.label if known == "1" else None)
        for s, known in zip((subject(0), subject(1)), case, strict=True)
    )
    return moving, fixed


def test_its_strategy_trains_the_networks_of_jrss_too(tmp_path: Path) -> None:
    dataset = method_dataset(1)
    settings = settings_of("deepatlas", "obelisk", strategy={**SHORT, "joint_steps": 21})
    model, strategy = made("deepatlas", settings, dataset)
    assert isinstance(model.reg_net, ObeliskRegistration)
    assert isinstance(model.seg_net, ObeliskSegmentation)
    before = weights(model)
    run(strategy, model, dataset, tmp_path)
    moved = {name.split("_")[0] for name, tensor in weights(model).items() if not torch.equal(tensor, before[name])}
    assert moved == {"reg", "seg"}


@pytest.mark.parametrize("similarity", ["ncc", "lncc"])
@pytest.mark.parametrize("case", ["00", "01", "10", "11"])
def test_terms_of_registration_reach_registration_alone(case: str, similarity: str) -> None:
    model, _, _ = deepatlas()
    loss = settings_of("deepatlas", loss={"similarity": similarity}).loss
    view = RegistrationView(model, batch_of(pair(case)), CLASSES)
    expected = {"similarity": {"reg"}, "bending": {"reg"}, "anatomy": {"reg"}}
    check_reach(registration_terms(loss, SHAPE), view, model, expected)
    expected.pop("anatomy")
    check_reach(alignment_terms(loss, SHAPE), view, model, expected)


@pytest.mark.parametrize(
    ("case", "anatomy"),
    [("10", {"seg"}), ("01", {"seg"}), ("11", set())],
)
def test_terms_of_segmentation_reach_segmentation_alone(case: str, anatomy: set[str]) -> None:
    """With both sides labelled the anatomy term is constant for the network: supervision alone teaches it."""
    model, _, _ = deepatlas()
    loss = settings_of("deepatlas").loss
    view = SegmentationView(model, batch_of(pair(case)), CLASSES)
    check_reach(segmentation_terms(loss), view, model, {"anatomy": anatomy, "supervision": {"seg"}})
    labelled = LabelledView(model, batch_of((subject(0),)), CLASSES)
    check_reach(supervision_terms(loss), labelled, model, {"supervision": {"seg"}})


def test_supervision_is_of_the_labelled_side_and_of_the_moving_one_where_both_are() -> None:
    model, _, _ = deepatlas()
    model.eval()
    for case, column in (("10", 0), ("01", 1), ("11", 0)):
        view = SegmentationView(model, batch_of(pair(case)), CLASSES)
        predicted, label = view.supervised
        assert torch.equal(predicted, view.predicted[column])
        assert torch.equal(label.argmax(1, keepdim=True), subject(column).label.long())
    mixed = SegmentationView(model, batch_of(pair("01"), pair("10")), CLASSES)
    assert torch.equal(mixed.supervised[0], torch.stack([mixed.predicted[1][0], mixed.predicted[0][1]]))


def test_a_missing_label_is_replaced_by_the_prediction() -> None:
    model, _, _ = deepatlas()
    model.eval()
    views = [RegistrationView(model, batch_of(pair(case)), CLASSES) for case in ("10", "01")]
    predicted = model.segment(subject(1).image).softmax(1)
    assert torch.equal(views[0].anatomy_fixed, predicted)
    assert torch.equal(views[1].anatomy_fixed.argmax(1, keepdim=True), subject(1).label.long())
    segmenting = SegmentationView(model, batch_of(pair("10")), CLASSES)
    assert torch.allclose(segmenting.anatomy_fixed, predicted, atol=1e-6)
    assert torch.equal(segmenting.anatomy_fixed, segmenting.predicted[1])


@pytest.mark.parametrize("scheme", ["separate", "semi", "alternate"])
def test_each_step_moves_its_network_alone(scheme: str, tmp_path: Path) -> None:
    model, strategy, dataset = deepatlas(2, scheme=scheme)
    for name, phases in groupby(sorted(strategy.phases(), key=lambda phase: phase.name), key=lambda phase: phase.name):
        check_trains_only(next(phases), model, dataset, tmp_path / name)


def test_joint_steps_move_both_networks(tmp_path: Path) -> None:
    model, strategy, dataset = deepatlas(alternation="joint")
    (both,) = [phase for phase in strategy.phases() if phase.stage == "joint"]
    assert both.steps == SHORT["joint_steps"]
    check_trains_only(both, model, dataset, tmp_path)


def test_a_joint_step_counts_no_scan_that_registration_only_reads(tmp_path: Path) -> None:
    """Batch statistics learn from one pass of segmentation a step, as where both networks train in turn."""
    model, strategy, dataset = deepatlas(alternation="joint")
    (both,) = [phase for phase in strategy.phases() if phase.stage == "joint"]
    pairs = AvailabilityBuckets(dataset.labelled, dataset.unlabelled, 1, {"10": 1.0})
    run(Scripted(dataclasses.replace(both, sampler=pairs, steps=3)), model, dataset, tmp_path)
    counts = {int(n) for name, n in model.state_dict().items() if name.endswith("num_batches_tracked")}
    assert counts == {3}


def test_a_pair_without_labels_teaches_segmentation_nothing(tmp_path: Path) -> None:
    model, strategy, dataset = deepatlas()
    before = weights(model)
    pairs = AvailabilityBuckets(dataset.labelled, dataset.unlabelled, 1, {"00": 1.0})
    seg = next(phase for phase in strategy.phases() if phase.name == "seg")
    run(Scripted(dataclasses.replace(seg, sampler=pairs, steps=2)), model, dataset, tmp_path)
    assert same(weights(model), before)
    taught, idle = batch_of(pair("10")), batch_of(pair("10"), pair("00"))
    model.eval()
    assert float(strategy.segment(idle).total.detach()) == pytest.approx(float(strategy.segment(taught).total.detach()))


def turns(phases: list[Phase]) -> list[tuple[str, int]]:
    return [(phase.name, phase.steps) for phase in phases]


@pytest.mark.parametrize(
    ("alternation", "turn", "times"),
    [
        ("1:20", [("reg", 20), ("seg", 1)], 2),
        ("5:40", [("reg", 40), ("seg", 5)], 0),
        ("5:10", [("reg", 10), ("seg", 5)], 2),
    ],
)
def test_a_turn_has_its_ratio(alternation: str, turn: list[tuple[str, int]], times: int) -> None:
    _, strategy, _ = deepatlas(alternation=alternation)
    assert turns(list(strategy.phases())) == [("reg alone", 2), ("seg against reg", 2), *turn * times]


@pytest.mark.parametrize(
    ("labelled", "scheme", "second", "joint"),
    [
        (1, "alternate", "seg against reg", True),
        (2, "alternate", "seg alone", True),
        (1, "semi", "seg against reg", False),
        (2, "semi", "seg against reg", False),
        (1, "separate", "seg alone", False),
        (2, "separate", "seg alone", False),
    ],
)
def test_stages(labelled: int, scheme: str, second: str, joint: bool) -> None:
    _, strategy, _ = deepatlas(labelled, scheme=scheme, shares=(1.0, 1.0, 2.0))
    phases = list(strategy.phases())
    assert [phase.name for phase in phases[:2]] == ["reg alone", second]
    assert bool(phases[2:]) is joint
    assert {phase.stage for phase in phases[2:]} <= {"joint"}
    assert [phase.until for phase in phases[:2]] == ([0.25, 0.5] if joint else [0.5, 1.0])
    assert {phase.until for phase in phases[2:]} <= {1.0}
    assert strategy.total_steps == sum(phase.steps for phase in phases)


def test_one_label_may_teach_alone_before_the_turns() -> None:
    _, strategy, _ = deepatlas(1, semi_first=False)
    assert [phase.name for phase in strategy.phases()][:4] == ["reg alone", "seg alone", "reg", "seg"]
    _, strategy, _ = deepatlas(1, scheme="semi", semi_first=False)
    assert [phase.name for phase in strategy.phases()] == ["reg alone", "seg against reg"]


def test_turns_may_have_a_learning_rate_of_their_own() -> None:
    for rate, expected in ((None, 1e-3), (2e-4, 2e-4)):
        phases = {phase.name: phase.optimiser for phase in deepatlas(2, turn_lr=rate)[1].phases()}
        assert [at(phases[name].lr, 0) for name in ("seg alone", "seg", "reg")] == [1e-3, expected, 5e-4]


def test_segmentation_never_draws_a_pair_without_labels() -> None:
    _, strategy, dataset = deepatlas(2)
    samplers = {phase.name: phase.sampler for phase in strategy.phases()}
    drawn = {name: Counter(samplers[name][i] for i in range(400)) for name in ("reg", "seg")}
    unlabelled = set(dataset.unlabelled)
    assert any(set(item) <= unlabelled for item in drawn["reg"])
    assert not any(set(item) <= unlabelled for item in drawn["seg"])
    assert len(drawn["reg"]) == 4 * 3
    assert len(drawn["seg"]) == 4 * 3 - 2


def test_bending_weighs_as_the_square_of_the_sides() -> None:
    loss = settings_of("deepatlas").loss

    def weight(shape: tuple[int, int, int]) -> Any:
        return next(term.weight for term in alignment_terms(loss, shape) if term.name == "bending")

    assert weight((128, 128, 128)) == pytest.approx(7.5)
    assert weight((64, 128, 256)) == pytest.approx(7.5)
    assert weight((64, 64, 64)) == pytest.approx(7.5 / 4)
