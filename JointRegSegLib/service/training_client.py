"""The side that asks for a training: starts the process, hears its events, stops it. Standard library only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..job import Code, Device, Event, JobError
from .client import Job, Outcome, start_child

MODULE = "JointRegSegLib.service.trainer"
MODEL, CURVES = "model.safetensors", "curves.jsonl"
"""What a training writes into its output folder, as `study.train` and `training.trainer` name it."""

_PATHS = ("data", "output", "table")


@dataclass(frozen=True)
class TrainingRequest:
    """What to train: the fields mean what those of `study.train.Training` do."""

    method: str
    data: Path
    output: Path
    preset: str = "preset"
    labelled: int | None = None
    max_minutes: float | None = None
    resume: bool = False
    licence: str = ""
    device: Device = Device.AUTO
    seed: int | None = None
    table: Path | None = None
    threads: int | None = None

    def to_json(self) -> str:
        """The request as JSON text, whose paths hold in any folder."""
        paths = {name: str(path.absolute()) for name in _PATHS if (path := getattr(self, name)) is not None}
        if (preset := Path(self.preset)).suffix == ".toml":
            paths["preset"] = str(preset.absolute())
        return json.dumps(asdict(self) | paths | {"device": self.device.value})

    @classmethod
    def from_json(cls, text: str) -> TrainingRequest:
        """The request in a text of `to_json`; a `JobError` where it is no such text."""
        try:
            fields: dict[str, Any] = json.loads(text)
            paths = {name: Path(fields[name]) for name in _PATHS if fields[name] is not None}
            return cls(**{**fields, **paths, "device": Device(fields["device"])})
        except (ValueError, KeyError, TypeError) as problem:
            raise JobError(
                Code.REQUEST_INVALID, f"The request cannot be read: {problem}.", "Check its keys and values."
            ) from problem


@dataclass(frozen=True)
class Trained:
    """How a training ended: the model package, whether the procedure came to its end, minutes, validation Dice."""

    model: Path
    finished: bool
    steps: int
    minutes: float
    scores: dict[str, float]


class TrainingJob(Job):
    """A running training. Cancelled, it ends after its present step, with a checkpoint and a model."""

    patience = 600.0

    def __init__(self, *arguments: Any) -> None:
        self.trained: Trained | None = None
        super().__init__(*arguments)

    def join(self, on_event: Callable[[Event], None] | None = None) -> Trained:
        """Wait for the end; `on_event` is called in this thread with every event. Raises `JobError`."""
        outcome = None
        while outcome is None:
            time.sleep(0.05)
            outcome = self.poll()
            for event in self.drain():
                if on_event is not None:
                    on_event(event)
        if self.trained is None:
            raise outcome.error or self._died(0)
        return self.trained

    def _opened(self, event: Event) -> Outcome:
        self.trained = Trained(**{**event.data, "model": Path(event.data["model"])})
        return Outcome()


def start_training(request: TrainingRequest, python: str | None = None) -> TrainingJob:
    """Start a training and return at once; `JobError` WORKER_NOT_STARTED."""
    return start_child(TrainingJob, request.to_json(), request.output, MODULE, python)
