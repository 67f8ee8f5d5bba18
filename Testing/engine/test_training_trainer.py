"""The training loop: it resumes to the very same losses, stops where it should and says what went wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.networks import placed
from JointRegSegLib.training.best import best_file
from JointRegSegLib.training.curves import read_curves
from JointRegSegLib.training.phases import Adam, Batch, Phase
from JointRegSegLib.training.samplers import AllOrderedPairs, Images
from JointRegSegLib.training.terms import Losses
from JointRegSegLib.training.trainer import CHECKPOINT, CURVES, Trainer, TrainerConfig
from JointRegSegLib.training.validation import validation_scores
from Testing.engine.training_cases import (
    Alternating,
    Scripted,
    Separate,
    ToyModel,
    entropy,
    losses_of,
    similarity,
    toy_dataset,
)

ROOT = Path(__file__).resolve().parents[2]
EVERY_STEP = TrainerConfig(seed=3, checkpoint_seconds=0.0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order, here and in child processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    """Curves and weights of the whole toy strategy, trained in one go."""
    folder = tmp_path_factory.mktemp("unbroken")
    torch.set_num_threads(1)
    model = alternate(folder)
    return list(read_curves(folder / CURVES)), model.state_dict()


class DiedError(Exception):
    """A run that ends anywhere."""


def alternate(folder: Path, die_at: int = 0, seconds: float = 0.0) -> ToyModel:
    dataset, model = toy_dataset(), ToyModel(norm=True, dropout=0.5)

    def report(fraction: float, message: str) -> None:
        if int(message.split()[1]) == die_at:
            raise DiedError

    config = TrainerConfig(seed=3, checkpoint_seconds=seconds)
    Trainer(model, Alternating(model, dataset), dataset, config, folder, report=report).run()
    return model


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_curves_tell_each_step(unbroken: Any) -> None:
    names = [line["phase"] for line in unbroken[0]]
    assert names == ["first reg"] * 3 + ["first seg"] * 3 + ["reg", "reg", "seg"] * 4
    assert [line["step"] for line in unbroken[0]] == list(range(1, 19))
    rates = [line["lr"] for line in unbroken[0] if line["phase"] == "reg"]
    assert rates == pytest.approx([0.01 * 0.9 ** (n // 2) for n in range(8)])


@pytest.mark.parametrize("die_at", [1, 3, 4, 8, 9, 10, 15, 18])
def test_a_run_that_ended_anywhere_goes_on_with_the_same_losses(die_at: int, unbroken: Any, tmp_path: Path) -> None:
    with pytest.raises(DiedError):
        alternate(tmp_path, die_at)
    model = alternate(tmp_path)
    assert list(read_curves(tmp_path / CURVES)) == unbroken[0]
    assert same(model.state_dict(), unbroken[1])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill -9")
def test_a_process_killed_twice_goes_on_with_the_same_losses(unbroken: Any, tmp_path: Path) -> None:
    # The second child writes checkpoints rarely, so that the last run repeats steps that were made already.
    for die_at, seconds in ((8, 0.0), (16, 1e9)):
        command = [sys.executable, "-m", "Testing.engine.training_child", str(tmp_path)]
        command += ["--die-at", str(die_at), "--seconds", str(seconds)]
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert child.returncode == -signal.SIGKILL, child.stderr
    assert len(list(read_curves(tmp_path / CURVES))) == 16
    model = alternate(tmp_path)
    assert list(read_curves(tmp_path / CURVES)) == unbroken[0]
    assert same(model.state_dict(), unbroken[1])


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    dataset, config = toy_dataset(), TrainerConfig(seed=3, validate_every=4)
    weights, curves = [], []
    for _ in range(2):
        model = ToyModel()
        trainer = Trainer(
            model, Separate(model, dataset), dataset, config, tmp_path, score=lambda m: {"x": float(m.reg[0].bias[0])}
        )
        assert trainer.run().finished
        weights.append(model.state_dict())
        curves.append(list(read_curves(tmp_path / CURVES)))
    assert same(*weights)
    assert curves[0] == curves[1]
    assert [line["step"] for line in curves[0] if "validation" in line] == [4, 6]


def test_a_write_that_was_cut_short_leaves_the_earlier_checkpoint(unbroken: Any, tmp_path: Path) -> None:
    with pytest.raises(DiedError):
        alternate(tmp_path, 7)
    (tmp_path / f".{CHECKPOINT}.partial").write_bytes(b"half")
    with (tmp_path / CURVES).open("a") as file:
        file.write('{"step": 8, "pha')
    alternate(tmp_path)
    assert list(read_curves(tmp_path / CURVES)) == unbroken[0]


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    alternate(tmp_path)
    dataset, model = toy_dataset(), ToyModel()
    with pytest.raises(JobError) as caught:
        Trainer(model, Separate(model, dataset), dataset, EVERY_STEP, tmp_path).run()
    assert caught.value.code is Code.MODEL_UNFIT


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    alternate(tmp_path)
    data = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(data[: len(data) // 2])
    with pytest.raises(JobError) as caught:
        alternate(tmp_path)
    assert caught.value.code is Code.MODEL_INVALID
    assert str(tmp_path / CHECKPOINT) in caught.value.message


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_loss_that_is_no_number_is_told_and_the_last_checkpoint_kept(where: str, tmp_path: Path) -> None:
    dataset, model = toy_dataset(), ToyModel()
    pairs = AllOrderedPairs(dataset.labelled, 1)

    def step(batch: Batch) -> Losses:
        value = similarity(batch, model).mean()
        if batch.step == 4:
            # The root's slope at 0 is infinite, and infinity times 0 is no number.
            value = value * float("nan") if where == "loss" else value + (value * 0).sqrt()
        return Losses(value, {"sim": value.detach()})

    strategy = Scripted(Phase("reg", 9, ("reg",), pairs, step, Adam(1e-2)))
    with pytest.raises(JobError) as caught:
        Trainer(model, strategy, dataset, EVERY_STEP, tmp_path).run()
    assert caught.value.code is Code.TRAINING_DIVERGED
    words = ("step 5", "reg", "sim" if where == "loss" else "gradient", *pairs[4])
    assert all(word in caught.value.message for word in words)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert state["position"]["step"] == 4
    assert all(bool(tensor.isfinite().all()) for tensor in state["model"].values())
    assert same(state["model"], model.state_dict())


def test_a_run_out_of_minutes_stops_clean_and_goes_on(tmp_path: Path) -> None:
    dataset, model = toy_dataset(), ToyModel()
    config = TrainerConfig(seed=3, checkpoint_seconds=1e9)

    def trainer(folder: Path) -> Trainer:
        model.load_state_dict(ToyModel().state_dict())
        return Trainer(model, Separate(model, dataset), dataset, config, folder)

    assert trainer(tmp_path / "whole").run().finished
    whole = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for steps in (1, 2):
        outcome = trainer(tmp_path / "parts").run(max_minutes=0.0)
        assert not outcome.finished
        assert outcome.steps == steps
    assert trainer(tmp_path / "parts").run(max_minutes=60.0).finished
    assert same(model.state_dict(), whole)


def test_accumulated_draws_equal_a_bigger_batch(tmp_path: Path) -> None:
    dataset, weights = toy_dataset(), []
    for batch, accumulate in ((4, 1), (1, 4)):
        model = ToyModel()
        config = TrainerConfig(seed=3, accumulate=accumulate)
        Trainer(model, Separate(model, dataset, batch=batch), dataset, config, tmp_path / str(batch)).run()
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert float((weights[0] - weights[1]).abs().max()) < 1e-5
    assert float((weights[0] - torch.cat([p.detach().flatten() for p in ToyModel().parameters()])).abs().max()) > 1e-2


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "Testing.engine.training_child", str(tmp_path / "two"), "--together"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr
    dataset, model = toy_dataset(), placed(ToyModel(), "cpu")
    Trainer(model, Separate(model, dataset, batch=2), dataset, TrainerConfig(seed=3), tmp_path / "one").run()
    two = torch.load(tmp_path / "two" / "weights.pt", weights_only=True)
    for name, tensor in model.state_dict().items():
        assert float((tensor - two[name]).abs().max()) < 1e-5, name
    curves = [[line["total"] for line in read_curves(tmp_path / n / CURVES)] for n in ("one", "two")]
    assert curves[0] == pytest.approx(curves[1], abs=1e-6)


def test_gradients_that_a_step_wrote_itself_are_followed(tmp_path: Path) -> None:
    """As Bi-JROS needs: the step reads the gradient of a group that is not trained, and writes its own into another."""
    dataset = toy_dataset()
    pairs = AllOrderedPairs(dataset.labelled, 1)
    models = [ToyModel(), ToyModel()]

    def own(batch: Batch) -> Losses:
        model = models[0]
        loss = similarity(batch, model).mean()
        assert torch.autograd.grad(entropy(batch, model).mean(), list(model.seg.parameters()))[0].any()
        owned = list(model.reg.parameters())
        for p, gradient in zip(owned, torch.autograd.grad(loss, owned), strict=True):
            p.grad = gradient if p.grad is None else p.grad + gradient
        return Losses(loss.detach(), {"loss": loss.detach()})

    steps = (own, losses_of(lambda batch: similarity(batch, models[1])))
    for name, model, step in zip("ab", models, steps, strict=True):
        reading = ("seg",) if step is own else ()
        phase = Phase("reg", 5, ("reg",), pairs, step, Adam(1e-2), reading=reading)
        Trainer(model, Scripted(phase), dataset, EVERY_STEP, tmp_path / name).run()
    assert same(models[0].state_dict(), models[1].state_dict())
    assert same(models[0].seg.state_dict(), ToyModel().seg.state_dict())
    assert not same(models[0].reg.state_dict(), ToyModel().reg.state_dict())


def test_a_step_with_nothing_to_teach_moves_nothing(tmp_path: Path) -> None:
    """A loss without gradient, as of a pair without labels (DeepAtlas, case 00), is no step of the optimiser."""
    dataset, model = toy_dataset(), ToyModel()
    images = Images(dataset.unlabelled, 1)
    phase = Phase("seg", 3, ("seg",), images, losses_of(lambda b: entropy(b, model)), Adam(1e-2, weight_decay=0.1))
    Trainer(model, Scripted(phase), dataset, EVERY_STEP, tmp_path).run()
    assert same(model.state_dict(), ToyModel().state_dict())


def test_a_stage_ends_when_validation_stalls_and_the_best_weights_win(tmp_path: Path) -> None:
    dataset, model = toy_dataset(), ToyModel()
    pairs = AllOrderedPairs(dataset.labelled, 1)
    scores = iter([0.5, 0.7, 0.6, 0.65, 0.1, 0.2])
    seen: list[dict[str, torch.Tensor]] = []

    def score(scored: Any) -> dict[str, float]:
        assert not scored.training
        seen.append({name: tensor.clone() for name, tensor in scored.state_dict().items()})
        return {"segmentation": next(scores), "registration": float("nan")}

    step = losses_of(lambda batch: similarity(batch, model))
    turns = [Phase(f"turn {n}", 2, ("reg",), pairs, step, Adam(1e-2), stage="turns") for n in range(5)]
    last = Phase("last", 2, ("reg",), pairs, step, Adam(1e-2))
    config = TrainerConfig(validate_every=1, patience=2)
    outcome = Trainer(model, Scripted(*turns, last), dataset, config, tmp_path, score=score).run()
    phases = [line["phase"] for line in read_curves(tmp_path / CURVES) if "phase" in line]
    assert phases == ["turn 0", "turn 0", "turn 1", "turn 1", "last", "last"]
    assert outcome.bests == {"": 0.7}
    assert same(model.state_dict(), seen[1])
    assert torch.load(tmp_path / best_file(), weights_only=True)["step"] == 2


def test_contrast_changes_alike_for_both_scans_of_a_pair_and_otherwise_from_draw_to_draw(tmp_path: Path) -> None:
    dataset, model = toy_dataset(), ToyModel()
    drawn: list[Batch] = []

    def step(batch: Batch) -> Losses:
        drawn.append(batch)
        return losses_of(lambda batch: similarity(batch, model))(batch)

    phase = Phase("reg", 3, ("reg",), AllOrderedPairs(dataset.labelled, 1), step, Adam(1e-2))
    for name in ("one", "again"):
        Trainer(model, Scripted(phase), dataset, TrainerConfig(contrast=0.2), tmp_path / name).run()
    changes = []
    for batch in drawn:
        one, other = ((s.image, dataset[s.id].image) for s in batch.items[0])
        gain = float((one[0] * one[1]).sum() / one[1].square().sum())
        assert all(torch.allclose(image, gain * before, atol=1e-5) for image, before in (one, other))
        changes.append(gain)
    assert changes[:3] == pytest.approx(changes[3:])
    assert len({round(change, 3) for change in changes}) == 3
    assert torch.equal(drawn[0].items[0][0].label, dataset[drawn[0].items[0][0].id].label)


class _TwoParts(ToyModel):
    def parts(self) -> dict[str, str]:
        return {"registration": "reg.", "segmentation": "seg."}


def _trained_by_turns(folder: Path, scores: list[dict[str, float]], stop_after: int = 0) -> tuple[Any, Any, Any]:
    """The model after stages of 2 and 3 steps that train all of it, its weights at each validation, and the outcome."""
    dataset, model = toy_dataset(), _TwoParts()
    pairs = AllOrderedPairs(dataset.labelled, 1)
    seen: list[dict[str, torch.Tensor]] = []

    def score(scored: Any) -> dict[str, float]:
        seen.append({name: tensor.clone() for name, tensor in scored.state_dict().items()})
        return scores[len(seen) - 1]

    step = losses_of(lambda batch: similarity(batch, model) + entropy(batch, model))
    stages = [Phase(name, n, ("reg", "seg"), pairs, step, Adam(1e-2)) for name, n in (("first", 2), ("then", 3))]
    config = TrainerConfig(seed=3, validate_every=4, checkpoint_seconds=0.0)
    steps = iter(range(1, 9))
    outcome = Trainer(model, Scripted(*stages), dataset, config, folder, score=score).run(
        interrupted=lambda: next(steps) == stop_after
    )
    return model, seen, outcome


def test_two_networks_keep_their_own_best_weights(tmp_path: Path) -> None:
    """Segmentation was best as the first stage ended, registration later; neither pays for the other."""
    scores = [(0.5, 0.7), (0.6, 0.4), (0.55, 0.5)]
    told = [{"registration": reg, "segmentation": seg} for reg, seg in scores]
    model, seen, outcome = _trained_by_turns(tmp_path, told)
    assert [line["step"] for line in read_curves(tmp_path / CURVES) if "validation" in line] == [2, 4, 5]
    assert outcome.bests == {"registration": 0.6, "segmentation": 0.7}
    assert same(model.reg.state_dict(), {name[4:]: t for name, t in seen[1].items() if name.startswith("reg.")})
    assert same(model.seg.state_dict(), {name[4:]: t for name, t in seen[0].items() if name.startswith("seg.")})
    assert not any(torch.equal(seen[0][name], seen[1][name]) for name in seen[0])


def test_a_part_that_was_not_measured_stays_as_it_was_last(tmp_path: Path) -> None:
    nan = float("nan")
    torch.save({"step": 1, "model": {}}, tmp_path / best_file("registration"))  # of another run
    told = [{"registration": nan, "segmentation": 0.7}, {"segmentation": 0.4}, {}]
    model, seen, outcome = _trained_by_turns(tmp_path, told)
    assert outcome.bests == {"segmentation": 0.7}
    assert torch.equal(model.reg[0].bias, seen[2]["reg.0.bias"])
    assert torch.equal(model.seg[0].bias, seen[0]["seg.0.bias"])


def test_a_run_that_goes_on_remembers_each_parts_best(tmp_path: Path) -> None:
    told = [{"registration": 0.5, "segmentation": 0.7}, {"registration": 0.6, "segmentation": 0.4}]
    _, seen, outcome = _trained_by_turns(tmp_path, told, stop_after=3)
    assert not outcome.finished
    assert outcome.bests == told[0]
    model, later, outcome = _trained_by_turns(tmp_path, [told[1], {"registration": 0.1, "segmentation": 0.6}])
    assert outcome.bests == {"registration": 0.6, "segmentation": 0.7}
    assert torch.equal(model.seg[0].bias, seen[0]["seg.0.bias"])
    assert torch.equal(model.reg[0].bias, later[0]["reg.0.bias"])


def test_a_run_that_is_stopped_holds_its_best_weights_and_no_other_runs(tmp_path: Path) -> None:
    dataset = toy_dataset()
    torch.save({"step": 1, "model": {}}, tmp_path / best_file())  # of a run that was killed before its first checkpoint
    for steps, every in ((1, 2), (3, 1)):
        model, asked, scores = ToyModel(), iter([False] * (steps - 1) + [True]), iter([0.4, 0.6, 0.5])
        step = losses_of(lambda batch, model=model: similarity(batch, model))
        phase = Phase("reg", 9, ("reg",), AllOrderedPairs(dataset.labelled, 1), step, Adam(1e-2))
        config = TrainerConfig(validate_every=every)
        trainer = Trainer(
            model, Scripted(phase), dataset, config, tmp_path, score=lambda scored, s=scores: {"Dice": next(s)}
        )
        outcome = trainer.run(interrupted=lambda asked=asked: next(asked))
        latest = torch.load(tmp_path / CHECKPOINT, weights_only=True)["model"]
        assert (outcome.finished, outcome.bests) == (False, {"": 0.6} if every == 1 else {})
        assert same(model.state_dict(), latest) is not bool(outcome.bests)
        (tmp_path / CHECKPOINT).unlink()
    assert same(model.state_dict(), torch.load(tmp_path / best_file(), weights_only=True)["model"])


def test_validation_measures_both_tasks(tmp_path: Path) -> None:
    dataset, model = toy_dataset(), ToyModel()
    with torch.no_grad():
        model.reg[-1].weight.zero_()
        model.reg[-1].bias.zero_()
    scores = validation_scores(model, dataset, torch.device("cpu"))
    moved, fixed = (dataset[name].label for name in ("s0", "s4"))
    other, _ = (dataset[name].label for name in ("s1", "s4"))

    def overlap(a: torch.Tensor) -> float:
        shares = [2 * ((a == k) & (fixed == k)).sum() / ((a == k).sum() + (fixed == k).sum()) for k in (1, 2)]
        return float(sum(shares) / 2)

    assert scores["registration"] == pytest.approx((overlap(moved) + overlap(other)) / 2)
    assert scores["segmentation"] == pytest.approx(overlap(model.segment(dataset["s4"].image).argmax(1, keepdim=True)))


def test_progress_says_the_step_and_the_losses(tmp_path: Path) -> None:
    dataset, model = toy_dataset(), ToyModel()
    told: list[tuple[float, str]] = []
    Trainer(
        model,
        Separate(model, dataset, steps=4),
        dataset,
        EVERY_STEP,
        tmp_path,
        report=lambda *event: told.append(event),
    ).run()
    assert [fraction for fraction, _ in told] == [0.25, 0.5, 0.75, 1.0]
    lines = [json.loads(line) for line in (tmp_path / CURVES).read_text().splitlines()]
    for (_, message), line in zip(told, lines, strict=True):
        assert message.startswith(f"step {line['step']} of about 4, reg: sim {line['parts']['sim']:.4g}")
