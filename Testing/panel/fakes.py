"""A worker and a result that do what a test says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from JointRegSegLib.job import (
    Caution,
    Code,
    Event,
    JobError,
    Kind,
    LabelVolume,
    Measure,
    QualityTable,
    Request,
    Result,
    Status,
)
from JointRegSegLib.job.result import FILES, MANIFEST, QUALITY_JSON
from JointRegSegLib.service.client import Outcome

QUALITY = QualityTable(
    measures=(
        Measure("folding", "folding", 0.0, "%", Status.GOOD),
        Measure("inverse_mean", "inverse error, mean", 0.31, "mm", Status.LOOK),
    ),
    labels=(LabelVolume(1, "left <thing>", 64, 0.064),),
    cautions=(Caution("similarity", "The similarity was chosen from the images: lncc."),),
)


class FakeJob:
    """Stands in for `service.client.Job`: the test tells it what to say and when to end."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.cancelled = False
        self._events: list[Event] = []
        self._outcome: Outcome | None = None

    def start(self, request: Request, work_folder: Path | None = None) -> FakeJob:
        self.request = request
        return self

    def say(self, stage: str, fraction: float, eta_seconds: float | None = None) -> None:
        self._events.append(Event(Kind.PROGRESS, stage=stage, fraction=fraction, eta_seconds=eta_seconds))

    def finish(self, folder: Path) -> None:
        self._outcome = Outcome(result=Result(folder))

    def fail(self, error: JobError) -> None:
        self._outcome = Outcome(error=error)

    def drain(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def poll(self) -> Outcome | None:
        return self._outcome

    def cancel(self) -> None:
        self.cancelled = True

    def stop(self) -> None:
        """The worker heard that it was cancelled."""
        self.fail(JobError(Code.CANCELLED, "The run was cancelled."))

    def wait(self, on_event: Callable[[Event], None] | None = None, timeout: float | None = None) -> Result:
        for event in self.drain():
            if on_event is not None:
                on_event(event)
        if self._outcome is None:
            raise TimeoutError
        if self._outcome.result is None:
            raise self._outcome.error or RuntimeError
        return self._outcome.result


def write_result(folder: Path) -> Path:
    """A result folder whose tables are real and whose images are empty."""
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).touch()
    (folder / QUALITY_JSON).write_text(QUALITY.to_json(), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps({"version": "0.1.0", "settings": {"quality": "fast"}}), encoding="utf-8")
    return folder


def result_nodes(scene: Any) -> SimpleNamespace:
    """Nodes as loading a result would give."""
    add = scene.AddNewNodeByClass
    transform = add("vtkMRMLTransformNode", "field")
    transform.CreateDefaultDisplayNodes()
    return SimpleNamespace(
        transform=transform,
        jacobian=add("vtkMRMLScalarVolumeNode", "jacobian"),
        warped_atlas=add("vtkMRMLScalarVolumeNode", "warped atlas"),
    )
