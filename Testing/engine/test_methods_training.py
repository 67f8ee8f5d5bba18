"""Whole runs of the methods on made-up scans: they learn, and a run that was broken off goes on to the same losses."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from JointRegSegLib.training.curves import read_curves
from JointRegSegLib.training.trainer import CURVES
from Testing.engine.method_cases import made, method_dataset, run, settings_of

LEARNING = {
    "deepatlas": {"reg_steps": 24, "seg_steps": 16, "joint_steps": 21, "reg_lr": 2e-3, "seg_lr": 3e-3},
    "jrss": {"reg_steps": 24, "seg_steps": 24, "rounds": 1, "turns": 2, "reg_units": 1, "unit": 16, "tau": 0.0}
    | {"reg_lr": 3e-3, "seg_lr": 1e-2},
}
"""So short that a test can wait for it, which needs larger steps than the papers'."""

SHORT = {
    "deepatlas": {"reg_steps": 2, "seg_steps": 2, "joint_steps": 21},
    "jrss": {"reg_steps": 2, "seg_steps": 2, "rounds": 2, "turns": 2, "unit": 1, "tau": 0.0},
}
ORDER = {
    "deepatlas": ["reg alone"] * 2 + ["seg against reg"] * 2 + ["reg"] * 20 + ["seg"],
    "jrss": ["first reg"] * 2 + ["first seg"] * 2 + [*["reg"] * 5, "seg"] * 4,
}


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
    dataset = method_dataset()
    settings = settings_of(method, strategy=procedure)
    model, strategy = made(method, settings, dataset)

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


@pytest.mark.parametrize("method", LEARNING)
def test_every_objective_falls(method: str, tmp_path: Path) -> None:
    """By a twentieth from the first quarter of its steps to the last."""
    curves, _ = train(method, LEARNING[method], tmp_path)
    for name in dict.fromkeys(line["phase"] for line in curves):
        totals = [line["total"] for line in curves if line["phase"] == name]
        quarter = len(totals) // 4
        if quarter:  # of a single step there is nothing to compare
            assert statistics.median(totals[-quarter:]) < 0.95 * statistics.median(totals[:quarter]), name


@pytest.mark.parametrize(("method", "die_at"), [("deepatlas", 3), ("deepatlas", 25), ("jrss", 8), ("jrss", 18)])
def test_a_run_that_was_broken_off_goes_on_with_the_same_losses(
    method: str, die_at: int, unbroken: Any, tmp_path: Path
) -> None:
    with pytest.raises(DiedError):
        train(method, SHORT[method], tmp_path, die_at)
    curves, weights = train(method, SHORT[method], tmp_path)
    assert curves == unbroken[method][0]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in unbroken[method][1].items())


@pytest.mark.parametrize("method", SHORT)
def test_the_log_shows_the_order_of_the_steps(method: str, unbroken: Any) -> None:
    """Twenty steps of registration to one of segmentation in DeepAtlas, five to one in JRSS."""
    assert [line["phase"] for line in unbroken[method][0]] == ORDER[method]
