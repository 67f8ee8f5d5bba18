"""The loop that carries out a strategy, and goes on where a killed run stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from JointRegSegLib.networks.joint import JointModel

from ..job import Code, JobError
from .augmentation import random_gain
from .best import BestWeights
from .checkpoints import Position, read_state, write_state
from .curves import CurveFile
from .dataset import Dataset, Report, Sample
from .distributed import Team
from .phases import Batch, Phase, Strategy, training_only
from .precision import autocast
from .ranges import Count, Seed, Weight, Whole
from .recomputing import recompute_activations
from .samplers import Item
from .schedules import at
from .seeds import generator, seed_of
from .terms import Losses

CHECKPOINT = "checkpoint.pt"
CURVES = "curves.jsonl"

Score = Callable[[JointModel], dict[str, float]]


@dataclass(frozen=True)
class TrainerConfig:
    """How any strategy is carried out.

    Attributes:
        seed: of everything random.
        accumulate: draws whose gradients are averaged before the optimiser moves.
        amp: compute in bfloat16 where the device is faster by it; losses stay in float32.
        checkpoint_activations: compute activations a second time in the backward pass instead of keeping them.
        validate_every: steps between validations; 0 for never.
        patience: validations in a row without a better score that end a stage; 0 for never.
        contrast: strength of a random gain of intensities, one for all scans of a pair; 0 for none.
        checkpoint_seconds: between two checkpoints.
    """

    seed: Seed = 0
    accumulate: Count = 1
    amp: bool = False
    checkpoint_activations: bool = False
    validate_every: Whole = 0
    patience: Whole = 0
    contrast: Weight = 0.0
    checkpoint_seconds: Weight = 60.0


@dataclass(frozen=True)
class Outcome:
    """How a call of `Trainer.run` ended: whether training is finished, its steps and seconds, and the best score so
    far of each part of the model, as `best.BestWeights` judges them.
    """

    finished: bool
    steps: int
    seconds: float
    bests: dict[str, float]


class Trainer:
    """Trains a model by a strategy.

    Every step's randomness is a function of the seed and the step; with model, optimisers, strategy and position in
    the checkpoint, a run that was killed anywhere goes on with the very losses of an unbroken one (on the CPU; CUDA
    adds up some gradients in no fixed order).
    """

    def __init__(
        self,
        model: JointModel,
        strategy: Strategy,
        dataset: Dataset,
        config: TrainerConfig,
        folder: Path,
        *,
        score: Score | None = None,
        device: torch.device | None = None,
        team: Team | None = None,
        report: Report = lambda fraction, message: None,
    ) -> None:
        """
        Args:
            model: on `device`.
            strategy: what is done with it.
            dataset: what the samplers' ids name.
            config: how.
            folder: for the checkpoint, the best weights and the curves; goes on with the checkpoint it finds there.
            score: the model's validation scores, higher is better; they decide which weights are best.
            device: the CPU where None.
            team: the processes that train together; this one alone where None.
            report: told the fraction done and a message after each step; what it raises ends the run.
        """
        self.model, self.strategy, self.dataset, self.config, self.folder = model, strategy, dataset, config, folder
        self._score, self._report = score, report
        self._device, self._team = device or torch.device("cpu"), team or Team()
        self._groups: dict[str, list[nn.Parameter]] = {str(name): owned for name, owned in model.groups().items()}
        self._optimisers: dict[str, torch.optim.Adam] = {}
        self._at = Position()
        self._curves = CurveFile(folder / CURVES)
        self._best = BestWeights(model, folder)
        self._saved = time.monotonic()
        if config.checkpoint_activations:
            recompute_activations(model)
        if self._team.size > 1 and self._device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)

    def run(self, max_minutes: float | None = None, interrupted: Callable[[], bool] = lambda: False) -> Outcome:
        """Train until the strategy ends, or for about `max_minutes`; the model then holds its best weights.

        Validated is every `validate_every` steps and, where that is not 0, whenever a stage ends.

        The `max_minutes` that a run is begun with are also its budget: stages that have a share of it end in time, so
        that the last of them is reached, and a run that is resumed keeps the budget.

        `interrupted` is asked after each step; a yes ends the call with a checkpoint, as the end of its minutes does.

        Raises:
            JobError: TRAINING_DIVERGED where a loss or gradient is not finite, with step, term and subjects, the last
                checkpoint being from before; MODEL_UNFIT, MODEL_INVALID, OUTPUT_UNWRITABLE for the checkpoint.
        """
        self._resume()
        if max_minutes is not None and self._at.step == 0:
            self._at.minutes = max_minutes
        begun = time.monotonic() - self._at.seconds
        stop = float("inf") if max_minutes is None else self._at.seconds + 60.0 * max_minutes
        while (phase := self.strategy.phase(self._at.phase)) is not None:
            self._enter(phase)
            while self._at.phase_step < phase.steps and not self._at.over:
                with training_only(self.model, *phase.groups, reading=phase.reading):
                    self._step(phase)
                self._call(phase.after_step, "after", self._at.step)
                if self.config.validate_every and self._at.step % self.config.validate_every == 0:
                    self._validate()
                self._at.seconds = time.monotonic() - begun
                self._at.over = self._is_over(phase)
                if not self._at.over and self._team.any(self._at.seconds >= stop or interrupted(), self._device):
                    self._save()
                    return self._ended(finished=False)
                if time.monotonic() - self._saved >= self.config.checkpoint_seconds:
                    self._save()
            self._call(phase.on_exit, "exit", self._at.phase)
            self._advance()
        self._validate_end()
        self._save()
        return self._ended(finished=True)

    def _enter(self, phase: Phase) -> None:
        stage = phase.stage or phase.name
        if stage != self._at.stage:
            self._validate_end()
            self._at.stage, self._at.stage_best, self._at.stalled, self._at.over = stage, None, 0, False
        if self._at.phase_step == 0:
            self._call(phase.on_enter, "enter", self._at.phase)

    def _advance(self) -> None:
        """Go to the next phase; where the stage is over, to the next stage."""
        self._at.phase, self._at.phase_step = self._at.phase + 1, 0
        while self._at.over and (phase := self.strategy.phase(self._at.phase)) is not None:
            if (phase.stage or phase.name) != self._at.stage:
                return
            self._at.phase += 1

    def _is_over(self, phase: Phase) -> bool:
        """Whether the stage's time is up, or validation has no longer got better."""
        late = phase.until is not None and 0 < 60.0 * phase.until * self._at.minutes <= self._at.seconds
        return self._team.any(late, self._device) or 0 < self.config.patience <= self._at.stalled

    def _call(self, hook: Callable[[], None] | None, *words: object) -> None:
        if hook is not None:
            torch.manual_seed(seed_of(self.config.seed, *words))
            with training_only(self.model):
                hook()

    def _step(self, phase: Phase) -> None:
        """One move of the optimisers."""
        torch.manual_seed(seed_of(self.config.seed, "step", self._at.step, self._team.rank))
        self.model.zero_grad(set_to_none=True)
        passes = [self._pass(phase) for _ in range(self.config.accumulate)]
        lost = [losses for losses, _ in passes]
        optimisers = [self._optimiser(phase.name, group) for group in phase.groups]
        parameters = [p for group in phase.groups for p in self._groups[group]]
        for p in parameters if self.config.accumulate > 1 else ():
            if p.grad is not None:
                p.grad /= self.config.accumulate
        self._team.average_gradients(parameters)
        self._team.average_buffers(self.model)
        self._require_finite_gradients(phase, parameters, [item for _, items in passes for item in items])
        rate = at(phase.optimiser.lr, self._at.done.get(phase.name, 0))
        for optimiser in optimisers:
            optimiser.param_groups[0].update(lr=rate, weight_decay=phase.optimiser.weight_decay)
            optimiser.step()
        self._at.step += 1
        self._at.phase_step += 1
        self._at.done[phase.name] = self._at.done.get(phase.name, 0) + 1
        self._tell(phase, lost, rate)

    def _pass(self, phase: Phase) -> tuple[Losses, list[Item]]:
        """Draw, compute the losses and add their gradients; also what was drawn."""
        batch, items = self._draw(phase)
        assert phase.step is not None
        with autocast(self._device, self.config.amp):
            losses = phase.step(batch)
        wrong = next((name for name, value in losses.parts.items() if not torch.isfinite(value).all()), None)
        if wrong is None and not torch.isfinite(losses.total):
            wrong = "total"
        if self._team.any(wrong is not None, self._device):
            raise self._diverged(phase, f"{wrong or 'a term of another process'} is not finite", items)
        if losses.total.requires_grad:
            losses.total.backward()
        return losses, items

    def _draw(self, phase: Phase) -> tuple[Batch, list[Item]]:
        """This process's share of what all draw."""
        assert phase.sampler is not None
        first = self._at.drawn.get(phase.name, 0) + self._team.rank * phase.batch
        places = range(first, first + phase.batch)
        items = [phase.sampler[place] for place in places]
        self._at.drawn[phase.name] = self._at.drawn.get(phase.name, 0) + self._team.size * phase.batch
        samples = tuple(self._samples(item, phase.name, place) for item, place in zip(items, places, strict=True))
        random = tuple(generator(self.config.seed, phase.name, place) for place in places)
        return Batch(samples, self._at.done.get(phase.name, 0), random), items

    def _samples(self, item: Item, *draw: object) -> tuple[Sample, ...]:
        samples = tuple(self.dataset[name].to(self._device) for name in item)
        if not self.config.contrast:
            return samples
        gain = random_gain(self.config.contrast, generator(self.config.seed, "contrast", *draw))
        return tuple(replace(sample, image=gain * sample.image) for sample in samples)

    def _optimiser(self, name: str, group: str) -> torch.optim.Adam:
        key = f"{name}/{group}"
        if key not in self._optimisers:
            self._optimisers[key] = torch.optim.Adam(self._groups[group])
        return self._optimisers[key]

    def _require_finite_gradients(self, phase: Phase, parameters: list[nn.Parameter], items: list[Item]) -> None:
        norms = [p.grad.norm() for p in parameters if p.grad is not None]
        if norms and not torch.isfinite(torch.stack(norms)).all():
            raise self._diverged(phase, "the gradient is not finite", items)

    def _diverged(self, phase: Phase, what: str, items: list[Item]) -> JobError:
        subjects = f" for {', '.join(' and '.join(item) for item in items)}" if items else ""
        return JobError(
            Code.TRAINING_DIVERGED,
            f"Training went astray at step {self._at.step + 1}: in {phase.name}, {what}{subjects}.",
            "Lower the learning rate or look at these scans; the last good checkpoint is kept.",
        )

    def _tell(self, phase: Phase, lost: list[Losses], rate: float) -> None:
        total = self._team.mean(torch.stack([losses.total.detach() for losses in lost]).mean())
        names = dict.fromkeys(name for losses in lost for name in losses.parts)
        parts = {name: _mean([losses.parts[name] for losses in lost if name in losses.parts]) for name in names}
        if self._team.leads:
            self._curves.add({"step": self._at.step, "phase": phase.name, "total": total, "parts": parts, "lr": rate})
        words = ", ".join(f"{name} {value:.4g}" for name, value in parts.items())
        of = max(self.strategy.total_steps, self._at.step)
        done = self._at.step / of
        if phase.until is not None and self._at.minutes:
            done = min(max(done, self._at.seconds / (60.0 * self._at.minutes)), 1.0)
        self._report(done, f"step {self._at.step} of about {of}, {phase.name}: {words or f'{total:.4g}'}")

    def _validate_end(self) -> None:
        """Measure what a stage has come to, where that was not done."""
        if self.config.validate_every and self._at.validated < self._at.step:
            self._validate()

    def _validate(self) -> None:
        """Measure, remember the best weights, and count how long nothing got better."""
        if self._score is None:
            return
        self._at.validated = self._at.step
        scores: dict[str, float] = {}
        if self._team.leads:
            with training_only(self.model), torch.no_grad():
                scores = self._score(self.model)
            self._curves.add({"step": self._at.step, "validation": scores})
        scores = self._team.from_first(scores)
        judged = self._best.judge(scores)
        if not judged:
            return
        for part, score in judged.items():
            if score > self._at.bests.get(part, float("-inf")):
                self._at.bests[part] = score
                if self._team.leads:
                    self._best.keep(part, self._at.step)
        mean = sum(judged.values()) / len(judged)
        if self._at.stage_best is None or mean > self._at.stage_best:
            self._at.stage_best, self._at.stalled = mean, 0
        else:
            self._at.stalled += 1

    def _save(self) -> None:
        if self._team.leads:
            optimisers = {key: optimiser.state_dict() for key, optimiser in self._optimisers.items()}
            state = {
                "model": self.model.state_dict(),
                "strategy": self.strategy.state_dict(),
                "optimisers": optimisers,
                "position": asdict(self._at),
            }
            write_state(self.folder / CHECKPOINT, state)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = read_state(self.folder / CHECKPOINT)
        if state is not None:
            try:
                self.model.load_state_dict(state["model"])
                for key, optimiser in state["optimisers"].items():
                    self._optimiser(*key.rsplit("/", 1)).load_state_dict(optimiser)
                self.strategy.load_state_dict(state["strategy"])
                self._at = Position(**state["position"])
            except (RuntimeError, KeyError, ValueError, TypeError) as problem:
                raise JobError(
                    Code.MODEL_UNFIT,
                    f"The weights in {self.folder / CHECKPOINT} do not fit this model.",
                    "Train with the method and configuration that the folder was begun with, or in another folder.",
                ) from problem
        self._team.share(self.model)
        if self._team.leads:
            self._curves.cut(self._at.step)

    def _ended(self, finished: bool) -> Outcome:
        """Give the model its best weights, where any were validated; the checkpoint keeps those to go on with."""
        self._best.restore(self._at.bests)
        return Outcome(finished, self._at.step, self._at.seconds, dict(self._at.bests))


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack([value.float().mean() for value in values]).mean())
