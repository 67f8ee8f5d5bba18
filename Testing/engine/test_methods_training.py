"""Whole runs of the methods on made-up scans: they learn, and a run that was broken off goes on to the same losses."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from JointRegSegLib import methods
from JointRegSegLib.training.curves import read_curves
from JointRegSegLib.training.dataset import Dataset
from JointRegSegLib.training.phases import training_only
from JointRegSegLib.training.trainer import CURVES
from Testing.engine.coupled_cases import small_dataset
from Testing.engine.method_cases import batch_of, made, method_dataset, run, same, settings_of
from Testing.engine.training_cases import Scripted

LEARNING: dict[str, dict[str, Any]] = {
    "bijros": {"encoder_steps": 6, "turns": 4, "lr": 1e-3},
    "deepatlas": {"reg_steps": 24, "seg_steps": 16, "joint_steps": 21, "reg_lr": 2e-3, "seg_lr": 3e-3},
    "jrss": {"reg_steps": 24, "seg_steps": 24, "rounds": 1, "turns": 2, "reg_units": 1, "unit": 16, "tau": 0.0}
    | {"reg_lr": 3e-3, "seg_lr": 1e-2},
    "mmln": {"steps": (16, 16, 8), "frozen_steps": 2, "lr": 1e-3},
    "pgcnet": {"first_steps": 10, "joint_steps": 0, "lr": 3e-3},
    "synthmorph": {"steps": 4},
}
"""So short that a test can wait for it, which needs larger steps than the papers'."""

UNEVEN = {("bijros", "reg"), ("synthmorph", "pairs")}
"""Steps on scans that are turned and scaled, or made up, at random: a few of them do not compare."""

ON_ONE_DRAW: dict[str, dict[str, dict[str, Any]]] = {
    "bijros": {"strategy": {"encoder_steps": 2, "turns": 1, "lr": 1e-3}, "loss": {"cycle": 0.0}},
    "deepatlas": {"strategy": {"reg_steps": 2, "seg_steps": 2, "joint_steps": 21, "seg_lr": 3e-3}},
    "pgcnet": {"strategy": {"first_steps": 2, "joint_steps": 1, "lr": 3e-3}},
}
"""Methods whose last phase differs too much from step to step, or has too few, to compare its first with its last."""

SHORT: dict[str, dict[str, Any]] = {
    "bijros": {"encoder_steps": 1, "turns": 1},
    "deepatlas": {"reg_steps": 2, "seg_steps": 2, "joint_steps": 21},
    "jrss": {"reg_steps": 2, "seg_steps": 2, "rounds": 2, "turns": 2, "unit": 1, "tau": 0.0},
    "mmln": {"steps": (1, 2, 2), "frozen_steps": 1},
    "pgcnet": {"first_steps": 1, "joint_steps": 2},
    "synthmorph": {"steps": 4},
}
ORDER = {
    "bijros": ["all", "seg", "reg"],
    "deepatlas": ["reg alone"] * 2 + ["seg against reg"] * 2 + ["reg"] * 20 + ["seg"],
    "jrss": ["first reg"] * 2 + ["first seg"] * 2 + [*["reg"] * 5, "seg"] * 4,
    "mmln": ["level 1"] + ["level 2"] * 2 + ["level 3"] * 2,
    "pgcnet": ["pairs"] * 3,
    "synthmorph": ["pairs"] * 4,
}
SCANS: dict[str, Callable[[], Dataset]] = {
    "bijros": small_dataset,
    "deepatlas": method_dataset,
    "jrss": method_dataset,
    "mmln": partial(small_dataset, subjects=3),
    "pgcnet": small_dataset,
    "synthmorph": partial(small_dataset, labelled=2),
}
"""Networks of fewer levels do with fewer voxels, and MMLN's losses are compared over all pairs."""


class DiedError(Exception):
    """A run that ends anywhere."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(method: str, procedure: dict[str, Any], folder: Path, die_at: int = 0) -> tuple[list[Any], dict[str, Any]]:
    """The curves and the weights of a run; it breaks off while it reports step `die_at`."""
    dataset = SCANS[method]()
    model, strategy = made(method, settings_of(method, strategy=procedure), dataset)

    def report(fraction: float, message: str) -> None:
        if int(message.split()[1]) == die_at:
            raise DiedError

    run(strategy, model, dataset, folder, report=report)
    return list(read_curves(folder / CURVES)), model.state_dict()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Method -> curves and weights of a short run, made in one go."""
    torch.set_num_threads(1)
    return {method: train(method, SHORT[method], tmp_path_factory.mktemp(method)) for method in SHORT}


def test_no_method_is_forgotten() -> None:
    assert set(LEARNING) == set(SHORT) == set(ORDER) == set(SCANS) == set(methods.METHODS)


@pytest.mark.parametrize("method", LEARNING)
def test_every_objective_falls(method: str, tmp_path: Path) -> None:
    """By a twentieth of its size from the first quarter of its steps to the last."""
    curves, _ = train(method, LEARNING[method], tmp_path)
    for name in dict.fromkeys(line["phase"] for line in curves):
        totals = [line["total"] for line in curves if line["phase"] == name]
        quarter = len(totals) // 4
        if quarter and (method, name) not in UNEVEN:  # of a single step there is nothing to compare
            first, last = statistics.median(totals[:quarter]), statistics.median(totals[-quarter:])
            assert last < first - 0.05 * abs(first), name


@pytest.mark.parametrize("method", ON_ONE_DRAW)
def test_the_last_objective_falls_on_the_same_draw(method: str, tmp_path: Path) -> None:
    """By a twentieth of its size in a few steps, when the phases before have been gone through."""
    dataset = SCANS[method]()
    model, strategy = made(method, settings_of(method, **ON_ONE_DRAW[method]), dataset)
    *before, phase = strategy.phases()
    run(Scripted(*before), model, dataset, tmp_path / "before")
    items = [tuple(dataset[name] for name in phase.sampler[place]) for place in range(phase.batch)]
    optimiser = torch.optim.Adam([p for group in phase.groups for p in model.groups()[group]], 3e-4)
    totals = []
    with training_only(model, *phase.groups, reading=phase.reading):
        for _ in range(14):
            optimiser.zero_grad()
            total = phase.step(batch_of(*items)).total
            total.backward()
            optimiser.step()
            totals.append(float(total.detach()))
    assert min(totals[-2:]) < totals[0] - 0.05 * abs(totals[0])


@pytest.mark.parametrize(
    ("method", "die_at"),
    [
        ("bijros", 3),
        ("deepatlas", 3),
        ("deepatlas", 25),
        ("jrss", 8),
        ("jrss", 18),
        ("mmln", 3),
        ("pgcnet", 2),
        ("synthmorph", 2),
    ],
)
def test_a_run_that_was_broken_off_goes_on_with_the_same_losses(
    method: str, die_at: int, unbroken: Any, tmp_path: Path
) -> None:
    with pytest.raises(DiedError):
        train(method, SHORT[method], tmp_path, die_at)
    curves, weights = train(method, SHORT[method], tmp_path)
    assert curves == unbroken[method][0]
    assert same(unbroken[method][1], weights)


@pytest.mark.parametrize("method", SHORT)
def test_the_log_shows_the_order_of_the_steps(method: str, unbroken: Any) -> None:
    """Twenty steps of registration to one of segmentation in DeepAtlas, five to one in JRSS."""
    assert [line["phase"] for line in unbroken[method][0]] == ORDER[method]


def test_position_maps_of_pgcnet_learn(unbroken: Any) -> None:
    """They begin with zeros."""
    tables = [tensor for name, tensor in unbroken["pgcnet"][1].items() if ".tables." in name]
    assert len(tables) == 4
    assert all(tensor.any() for tensor in tables)
