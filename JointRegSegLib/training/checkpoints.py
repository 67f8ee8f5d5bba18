"""Everything that a killed run needs to go on as if nothing had happened, in one file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..job import Code, JobError
from ..job.filesystem import replace_file


@dataclass
class Position:
    """Where a training run is.

    Attributes:
        phase: number of the present phase.
        phase_step: steps done in it.
        step: steps done in all.
        done: phase name -> steps done under it.
        drawn: phase name -> items drawn under it.
        seconds: of training so far.
        minutes: the budget that the run was begun with, or 0.
        stage: the present stage.
        over: whether that stage has come to its end.
        stage_best: the best validation score in it, or None.
        stalled: validations since then.
        validated: the step of the last validation.
        bests: part of the model, as in `best.BestWeights` -> its best validation score in the whole run.
    """

    phase: int = 0
    phase_step: int = 0
    step: int = 0
    done: dict[str, int] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    minutes: float = 0.0
    stage: str = ""
    over: bool = False
    stage_best: float | None = None
    stalled: int = 0
    validated: int = 0
    bests: dict[str, float] = field(default_factory=dict)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state whole or not at all: whoever is killed meanwhile leaves the earlier file."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        replace_file(partial, path)
    except (OSError, RuntimeError) as problem:
        raise JobError(
            Code.OUTPUT_UNWRITABLE,
            f"The checkpoint {path} cannot be written: {problem}.",
            "Check its folder's permissions and the space on its disk.",
        ) from problem


def read_state(path: Path) -> dict[str, Any] | None:
    """The state in a file, tensors on the CPU; None where there is no file. `JobError` where it cannot be read."""
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged file fails in many ways
        raise JobError(
            Code.MODEL_INVALID, f"The checkpoint {path} cannot be read.", "Remove it to train from the start."
        ) from problem
    return state
