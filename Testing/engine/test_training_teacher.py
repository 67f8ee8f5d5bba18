"""The mean teacher and what labels become; a budget in minutes that reaches the last stage."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from JointRegSegLib.training.curves import read_curves
from JointRegSegLib.training.phases import Adam, Phase
from JointRegSegLib.training.samplers import AllOrderedPairs
from JointRegSegLib.training.schedules import ends
from JointRegSegLib.training.targets import known, one_hot
from JointRegSegLib.training.teacher import MeanTeacher
from JointRegSegLib.training.trainer import CURVES, Trainer, TrainerConfig
from Testing.engine.training_cases import Scripted, ToyModel, losses_of, similarity, toy_dataset


def network(value: float) -> nn.Module:
    layers = nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2), nn.Dropout3d(0.5))
    with torch.no_grad():
        for tensor in (*layers.parameters(), *layers.buffers()):
            tensor.fill_(value)
    return layers


def test_the_first_update_copies_the_student_and_later_ones_keep_ever_more() -> None:
    teacher = MeanTeacher(network(5.0), 0.9)
    kept = []
    for _ in range(20):
        before = float(teacher.network[0].bias[0])
        teacher.follow(network(before + 1.0))
        kept.append(1.0 - (float(teacher.network[0].bias[0]) - before))
    assert kept[0] == 0.0
    assert kept == pytest.approx([min(1 - 1 / (t + 1), 0.9) for t in range(20)], abs=1e-5)
    assert kept[-1] == pytest.approx(0.9, abs=1e-5)


def test_running_statistics_are_copied_and_no_gradient_arrives() -> None:
    teacher = MeanTeacher(network(1.0), 0.9)
    for value in (2.0, 4.0):
        teacher.follow(network(value))
    assert float(teacher.network[0].bias[0]) == 3.0
    assert {float(buffer.flatten()[0]) for buffer in teacher.network.buffers()} == {4.0}
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert not any(module.training for module in teacher.network.modules())


def test_an_ignored_voxel_belongs_to_no_class() -> None:
    labels = torch.tensor([0, 2, -1, 1]).view(1, 1, 1, 2, 2)
    hot = one_hot(labels, 3)
    assert hot.shape == (1, 3, 1, 2, 2)
    assert hot.flatten(2)[0].T.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert known(labels).flatten().tolist() == [1, 1, 0, 1]


def test_shares_of_a_budget_end_one_after_another() -> None:
    assert ends([1.0, 1.0, 2.0]) == [0.25, 0.5, 1.0]


class DiedError(Exception):
    """A run that ends anywhere."""


def budgeted(folder: Path, minutes: float | None, die_at: float = 2.0) -> tuple[bool, list[str]]:
    """Three stages, the last of two phases in turn, that would take hours; whether it finished, and its steps."""
    dataset, model = toy_dataset(), ToyModel()
    pairs = AllOrderedPairs(dataset.labelled, 1)

    def phase(name: str, steps: int, stage: str, until: float) -> Phase:
        step = losses_of(lambda batch: similarity(batch, model))
        return Phase(name, steps, ("reg",), pairs, step, Adam(1e-3), stage=stage, until=until)

    first = [phase("a", 10**6, "a", 0.3), phase("b", 10**6, "b", 0.6)]
    turns = [phase(name, 2, "turns", 1.0) for name in "cd"] * 10**4

    def report(fraction: float, message: str) -> None:
        assert 0 <= fraction <= 1
        if fraction >= die_at:
            raise DiedError

    trainer = Trainer(
        model, Scripted(*first, *turns), dataset, TrainerConfig(checkpoint_seconds=0.05), folder, report=report
    )
    outcome = trainer.run(minutes)
    return outcome.finished, [line["phase"] for line in read_curves(folder / CURVES)]


def test_a_budget_reaches_the_last_stage(tmp_path: Path) -> None:
    start = time.monotonic()
    finished, steps = budgeted(tmp_path, 1.5 / 60)
    assert finished
    assert 1.4 < time.monotonic() - start < 6.0
    runs = [name for name, _ in itertools.groupby(steps)]
    assert runs[:4] == ["a", "b", "c", "d"]
    assert set(runs[2:]) == {"c", "d"}
    assert all(steps.count(name) > 2 for name in "abcd")


def test_a_resumed_run_keeps_its_budget(tmp_path: Path) -> None:
    with pytest.raises(DiedError):
        budgeted(tmp_path, 2.0 / 60, die_at=0.4)
    start = time.monotonic()
    finished, steps = budgeted(tmp_path, None)
    assert finished
    assert time.monotonic() - start < 6.0
    assert set(steps) == set("abcd")


def test_a_run_begun_without_a_budget_stops_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(DiedError):
        budgeted(tmp_path, None, die_at=1e-4)
    finished, steps = budgeted(tmp_path, 0.3 / 60)
    assert not finished
    assert set(steps) == {"a"}
