"""Requests on small scans, and runs that keep what was reported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import Atlas, Code, Device, Event, JobError, Kind, Quality, Request, Result
from JointRegSegLib.metrics import dice
from JointRegSegLib.phantom import PhantomFiles
from JointRegSegLib.pipeline import run


@dataclass(frozen=True)
class Told:
    """A finished run and its events."""

    result: Result
    events: list[Event]

    @property
    def cautions(self) -> dict[str, str]:
        """Sentences by code."""
        return {event.code: event.message for event in self.events if event.kind is Kind.CAUTION}


def request_for(files: PhantomFiles, output: Path, **changes: Any) -> Request:
    """The pair's request, fast, on one CPU thread; keys of the atlas (`labels`, `mask`, ...) are told by their name."""
    atlas = Atlas(files.atlas, files.atlas_labels, files.table)
    of_atlas = {"image": "atlas", "labels": "atlas_labels", "table": "table", "mask": "atlas_mask", "name": "name"}
    atlas = replace(atlas, **{key: changes.pop(word) for key, word in of_atlas.items() if word in changes})
    usual = {"quality": Quality.FAST, "device": Device.CPU, "threads": 1}
    return Request((atlas,), **{"target": files.target, "output": output, **usual, **changes})


def run_quietly(request: Request) -> Told:
    """Run to the end."""
    events: list[Event] = []
    return Told(run(request, events.append, lambda: False), events)


def refused(request: Request, code: Code, *words: object) -> JobError:
    """Run and expect this error, with advice and these words in its sentence; nothing new lies about afterwards."""
    before = everything_in(request.output.parent)
    with pytest.raises(JobError) as caught:
        run_quietly(request)
    assert caught.value.code is code, caught.value
    assert caught.value.advice
    assert [word for word in words if str(word) not in caught.value.message] == [], caught.value.message
    assert everything_in(request.output.parent) == before
    return caught.value


def everything_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file and folder below one that may be missing, with its size and time."""
    found = [*folder.rglob("*"), folder] if folder.exists() else []
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found if path != folder} | dict.fromkeys(
        found[-1:], (0, 0)
    )


def mean_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over the structures in either array."""
    return float(np.mean(list(dice(a, b).values())))
