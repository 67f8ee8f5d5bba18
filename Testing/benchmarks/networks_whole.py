"""A method's whole model at work: what a run asks of it, and the steps by which its trainer trains it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from JointRegSegLib import methods
from JointRegSegLib.fields import Shape
from JointRegSegLib.methods.pgcnet.model import CoupledPyramid
from JointRegSegLib.networks import JointModel, placed
from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.few_shot import FewShotView
from JointRegSegLib.training.frame import Frame
from JointRegSegLib.training.phases import Phase, Strategy
from JointRegSegLib.training.precision import autocast
from JointRegSegLib.training.structures import Structures
from JointRegSegLib.training.subjects import Split, Subject
from JointRegSegLib.training.trainer import Trainer

from .networks import Seconds

PHASES = {"pgcnet": (1,), "mmln": (4,), "bijros": (1, 2)}
"""Those that most of a training consists of: with the joint loss; of the finest level; of each decoder in its turn."""


def inference_of(
    method: str, preset: str, classes: int, shape: Shape, device: str
) -> tuple[JointModel, Callable[[], None]]:
    """The model, and what is timed: registering a pair and, where the model segments, segmenting one of its scans."""
    model = methods.build(method, methods.read_settings(method, methods.presets(method)[preset]), classes)
    if isinstance(model, CoupledPyramid):
        model.lay_out(shape)
    model.strip_training_branches()
    placed(model, device).eval()
    moving, fixed = torch.rand(2, 1, 1, *shape, device=device)

    def work() -> None:
        with torch.inference_mode():
            model.register(moving, fixed)
            if "segmentation" in model.capabilities:
                model.segment(fixed)

    return model, work


class Training:
    """Steps of a method on two random scans, one of them labelled, as its trainer makes them.

    Attributes:
        model: as it is trained.
        phases: whose steps make a round.
        bfloat16: whether the trainer computes in bfloat16 here.
    """

    def __init__(self, method: str, preset: str, classes: int, shape: Shape, device: str) -> None:
        settings: Any = methods.read_settings(method, methods.presets(method)[preset])
        self._device = torch.device(device)
        self.model = placed(methods.build(method, settings, classes), self._device)
        self._data = _two_scans(shape, classes, self.model.input_spec.intensity)
        strategy = methods.strategy(method, settings, self.model, self._data)
        self.phases = [cast(Phase, strategy.phase(index)) for index in PHASES[method]]
        self.bfloat16 = settings.trainer.amp and not isinstance(autocast(self._device), nullcontext)
        self._config = replace(settings.trainer, validate_every=0, checkpoint_seconds=float("inf"))

    def run(self, rounds: int) -> list[Seconds]:
        """One step of each phase, round after round; returns what each round took."""
        marks: list[Seconds] = []

        def mark() -> None:
            marks.append((time.perf_counter(), time.process_time()))

        strategy = _Rounds(self.phases, rounds, mark)
        with tempfile.TemporaryDirectory(prefix="jrs-bench-") as folder:
            Trainer(
                self.model,
                strategy,
                self._data,
                self._config,
                Path(folder),
                device=self._device,
                report=lambda fraction, message: mark(),
            ).run()
        each = len(self.phases) + 1
        starts, ends = marks[::each], marks[each - 1 :: each]
        return [(end[0] - start[0], end[1] - start[1]) for start, end in zip(starts, ends, strict=True)]


class _Rounds(Strategy):
    """One step of each phase, round after round; `begun` is called where a round begins."""

    def __init__(self, phases: Sequence[Phase], rounds: int, begun: Callable[[], None]) -> None:
        alone = [replace(phase, steps=1, stage="rounds", until=None, on_exit=None) for phase in phases]
        self._phases, self._rounds = [replace(alone[0], on_enter=begun), *alone[1:]], rounds

    def phase(self, index: int) -> Phase | None:
        return self._phases[index % len(self._phases)] if index < self.total_steps else None

    @property
    def total_steps(self) -> int:
        return self._rounds * len(self._phases)


def _two_scans(shape: Shape, classes: int, intensity: str) -> Dataset:
    """Random scans of this shape, the first of them with every class."""
    labels = torch.randint(0, classes, (1, 1, *shape))
    labels.view(-1)[:classes] = torch.arange(classes)
    samples = {"a": Sample("a", _random(shape), labels), "b": Sample("b", _random(shape), None)}
    nowhere = Path()
    subjects = [Subject("a", nowhere, nowhere, Split.TRAIN), Subject("b", nowhere, None, Split.TRAIN)]
    depth, height, width = shape
    frame = Frame((width, height, depth), (1.0, 1.0, 1.0), intensity)
    return Dataset(samples, FewShotView(subjects, 1), Structures.of(range(1, classes)), frame)


def _random(shape: Shape) -> Tensor:
    return torch.rand(1, 1, *shape)
