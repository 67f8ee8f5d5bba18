"""One run, from the nodes of the scene to the nodes of the result, without holding up the application."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from ..job import Caution, Code, Event, JobError, Kind, Request, Result
from ..scene import AtlasSource, Grids, load_result, request_from_nodes
from ..scene.translation import quoted
from ..service import client
from .inputs import Inputs
from .setup_section import chosen_python

POLL_MILLISECONDS = 100
CLOSE_SECONDS = 8.0
_WORK = "work"


class State(str, Enum):
    """Where a run is. The last three are final."""

    IDLE = "idle"
    RUNNING = "running"
    CANCELLING = "cancelling"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Protocol):
    """What a session needs of `service.client.Job`."""

    def drain(self) -> list[Event]: ...
    def poll(self) -> client.Outcome | None: ...
    def cancel(self) -> None: ...
    def wait(self, on_event: Callable[[Event], None] | None = None, timeout: float | None = None) -> Result: ...


StartJob = Callable[[Request, Path], Job]


def start_worker(request: Request, work_folder: Path) -> Job:
    """A worker process on the request; the work folder, with the exported scans in it, is the job's to remove."""
    return client.start(request, python=chosen_python(), work_folder=work_folder)


class RunSession:
    """Starts the worker, follows it with a timer, and puts its result into the scene.

    Nodes are remembered by ID: the user may delete them, or close the scene, while the worker computes.

        session = RunSession(inputs)
        session.start()          # returns at once; the result arrives in session.nodes
        nodes = session.wait()   # or: hold up the caller until it is there

    Args:
        inputs: what to run.
        start_job: starts the worker.
        on_change: called when state or progress have changed.
        on_event: called with every event of the worker.
        keep_files: whether the result's folder stays until `close`; else it goes as soon as its nodes are there.

    Attributes:
        inputs: what it runs.
        state: where the run is.
        nodes: the result's nodes (`scene.RunNodes`) once finished, else None.
        result: the result's folder once finished, else None.
        error: the `JobError` of a failed run, else None.
        event: the newest progress event, or None.
        target_id: ID of the target node; it may be gone.
        kind: the model's name, or else the method, and the quality: what the time of a run depends on most.
        seconds: how long the run took, once finished.
        notes: sentences on how the inputs were read from the scene, and the worker's cautions.
        cautions: the worker's alone.
    """

    def __init__(
        self,
        inputs: Inputs,
        start_job: StartJob = start_worker,
        on_change: Callable[[], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        keep_files: bool = True,
    ) -> None:
        self.state = State.IDLE
        self.nodes: Any = None
        self.result: Result | None = None
        self.error: JobError | None = None
        self.event: Event | None = None
        self.notes: list[str] = []
        self.cautions: list[Caution] = []
        self.kind = (inputs.model.name if inputs.model is not None else inputs.method, inputs.quality.value)
        self.seconds = 0.0
        self._is_refined = inputs.continue_from is not None
        self._began = 0.0
        self.inputs = inputs
        self._has_begun = False
        self._start_job = start_job
        self._on_change = on_change or _nothing
        self._on_event = on_event or _nothing
        self._job: Job | None = None
        self._folder: Path | None = None
        self._grids: Grids | None = None
        self._keep_files = keep_files
        self._atlas_ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self.target_id = ""
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.timeout.connect(self._poll)

    @property
    def is_active(self) -> bool:
        """Whether the worker may still be at work."""
        return self.state in (State.RUNNING, State.CANCELLING)

    def start(self) -> None:
        """Export the inputs and start the worker. A run that cannot start ends in FAILED, with `error` set."""
        self._begin()
        if self.is_active:
            self._timer.start()

    def wait(self) -> Any:
        """Hold up the caller until the run has ended, and return the result's nodes.

        Raises:
            JobError: why the run failed; CANCELLED where it was cancelled.
        """
        if self.state is State.IDLE:
            self._begin()
        self._timer.stop()
        if self.is_active and self._job is not None:
            with contextlib.suppress(JobError):  # the outcome, read below, holds it
                self._job.wait(self._take)
            self._poll()
        if self.error is not None:
            raise self.error
        return self.nodes

    def cancel(self) -> None:
        """Ask the worker to stop. The scene stays as it is."""
        if self.state is State.RUNNING and self._job is not None:
            self._job.cancel()
            self._enter(State.CANCELLING)

    def close(self) -> None:
        """Stop following the run, cancel it where it still goes on, and remove its files. Nodes in the scene stay."""
        self._on_change = self._on_event = _nothing
        self._timer.stop()
        if self.is_active and self._job is not None:
            self.cancel()
            with contextlib.suppress(JobError, TimeoutError):
                self._job.wait(timeout=CLOSE_SECONDS)
            self._end(State.CANCELLED)
        self._remove_files()

    def _begin(self) -> None:
        if self._has_begun:
            raise RuntimeError("A session runs once; make a new one.")
        inputs, self._has_begun = self.inputs, True
        self._began = time.monotonic()
        self._enter(State.RUNNING)
        try:
            self._folder = Path(slicer.util.tempDirectory("JointRegSeg"))
            work_folder = self._folder / _WORK
            work_folder.mkdir()
            self._atlas_ids = _ids_by_name(inputs.atlases)
            self.target_id = inputs.target.GetID()
            if deleted := inputs.deleted():
                raise JobError(
                    Code.REQUEST_INVALID,
                    _("{names} was deleted before its turn.").format(names=", ".join(map(quoted, deleted))),
                    _("Load it again."),
                )
            request, self.notes = request_from_nodes(
                slicer.mrmlScene, inputs=work_folder, output=self._folder / "result", **inputs.arguments()
            )
            self._grids = Grids.of(request)
            self._names = _names_by_file(request, inputs)
            self._job = self._start_job(request, work_folder)
        except Exception as problem:
            self._fail(problem)

    def _poll(self) -> None:
        """What the timer does: hear what the worker said, and act on its end."""
        job = self._job
        if job is None:
            return
        try:
            outcome = job.poll()  # before the events, so that none comes after the end
            for event in job.drain():
                self._take(event)
            if outcome is not None and outcome.error is not None:
                raise outcome.error
            if outcome is not None and outcome.result is not None:
                self._finish(outcome.result)
        except Exception as problem:
            self._fail(problem)

    def _take(self, event: Event) -> None:
        if event.kind is Kind.PROGRESS:
            self.event = event
            self._on_change()
        elif event.kind is Kind.CAUTION:
            caution = Caution(event.code, self._by_name(event.message))
            self.notes.append(caution.message)
            self.cautions.append(caution)
        self._on_event(event)

    def _finish(self, result: Result) -> None:
        if self.state is State.CANCELLING:  # it ended before it heard
            raise JobError(Code.CANCELLED, _("The run was cancelled."))
        names = iter(self._atlas_ids)
        # Of several atlases the transforms are those of the one that the result names.
        atlas_id = self._atlas_ids.get(result.manifest.get("most_alike", next(names, "")), "")
        self.nodes = load_result(
            slicer.mrmlScene,
            result,
            target_id=self.target_id,
            atlas_id=atlas_id,
            grids=self._grids,
            refined=self._is_refined,
        )
        self.result = result
        self.seconds = time.monotonic() - self._began
        if not self._keep_files:
            self._remove_files()
        self._end(State.FINISHED)

    def _fail(self, problem: Exception) -> None:
        error = problem if isinstance(problem, JobError) else _unexpected(problem)
        self.error = JobError(error.code, self._by_name(error.message), self._by_name(error.advice))
        cancelled = self.error.code is Code.CANCELLED
        if cancelled or not self._log_is_left():
            self._remove_files()
        self._end(State.CANCELLED if cancelled else State.FAILED)

    def _by_name(self, words: str) -> str:
        """What the worker says of a file is true of the node that was written to it, and the user knows that one."""
        for file, name in self._names.items():
            words = words.replace(file, name)
        return words

    def _end(self, state: State) -> None:
        self._timer.stop()
        self._job = None
        self._enter(state)

    def _log_is_left(self) -> bool:
        """Whether the job kept its log, which then says more than its error does."""
        return self._folder is not None and (self._folder / _WORK / "worker.log").is_file()

    def _remove_files(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self.result = None

    def _enter(self, state: State) -> None:
        self.state = state
        self._on_change()


def _ids_by_name(atlases: tuple[AtlasSource, ...]) -> dict[str, str]:
    """The ID of each atlas, empty for files, by what a result calls it."""
    return {
        atlas.name or f"atlas {number}": "" if atlas.is_file else atlas.image.GetID() or ""
        for number, atlas in enumerate(atlases, 1)
    }


def _names_by_file(request: Request, inputs: Inputs) -> dict[str, str]:
    """What the nodes are called whose content lies in the files of a request."""
    written = [
        (request.target, inputs.target),
        (request.target_mask, inputs.target_mask),
        (request.landmarks, inputs.target_points),
        (request.start, inputs.start),
    ]
    for atlas, source in zip(request.atlases, inputs.atlases, strict=True):
        written += [(atlas.image, source.image), (atlas.labels, source.labels)]
        written += [(atlas.mask, source.mask), (atlas.landmarks, source.points)]
    return {str(file): quoted(node.GetName()) for file, node in written if isinstance(node, slicer.vtkMRMLNode)}


def _nothing(*what: Any) -> None:
    """Nobody listens."""


def _unexpected(problem: Exception) -> JobError:
    logging.getLogger(__name__).error("A run ended in an unexpected error", exc_info=problem)
    return JobError(
        Code.INTERNAL,
        _("Something went wrong inside JointRegSeg ({kind}: {problem}).").format(
            kind=type(problem).__name__, problem=problem
        ),
        _("Please report it together with the text that Copy report gives."),
    )
