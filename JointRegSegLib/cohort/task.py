"""One case, from request to outcome: what a thread here and a worker of a cluster both do. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from ..job import Atlas, Code, JobError, Request, Result
from ..job.result import REPORT
from ..service.client import WORKER, Job, start
from ..service.failures import as_job_error
from ..service.launch import worker_environment
from .words import fit_to_publish, known_paths_named

_POLL_SECONDS = 0.25
_REPORT_SECONDS = 600.0


class State(str, Enum):
    """How a case stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Task:
    """One case to compute.

    Attributes:
        id: of the case.
        request: as JSON; its output is the case's folder.
        cancel: the file whose appearance ends it.
        log: where the worker's words go after a failure that only they explain.
        report: whether a page is written into the result's folder.
        environment: variables of the process that computes, beside the inherited ones.
        worker: its main module.
        line: which line of the cohort's table names it; 0 where none does.
    """

    id: str
    request: str
    cancel: str
    log: str
    report: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    worker: str = WORKER
    line: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a case ended: DONE, FAILED with a code, or WAITING where it was cancelled. `message` names no path."""

    id: str
    state: State
    code: str = ""
    message: str = ""
    seconds: float = 0.0


def run_task(task: Task) -> Outcome:
    """Compute a case unless its result is there already; whatever goes wrong is an outcome, never an exception."""
    before = time.monotonic()
    request = Request.from_json(task.request)
    try:
        outcome = _run(task, request)
    except Exception as problem:
        outcome = _failed(task, as_job_error(problem), request)
    return replace(outcome, seconds=time.monotonic() - before)


def is_done(output: Path) -> bool:
    """Whether a whole result lies there."""
    try:
        Result.open(output)
    except JobError:
        return False
    return True


def make_report(request: Request) -> str:
    """Write the page of a finished case, in a process of its own; what went wrong in words, empty where nothing did."""
    atlas = _shown_atlas(request)
    command = [sys.executable, "-m", "JointRegSegLib.cli", "report", str(request.output), "--quiet"]
    command += ["--target", str(request.target), "--atlas", str(atlas.image), "--atlas-labels", str(atlas.labels)]
    environment = worker_environment(os.environ, sys.executable)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_REPORT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return fit_to_publish(f"No report was written: {problem}", request)
    if done.returncode == 0:
        return ""
    words = [line for line in done.stderr.splitlines() if line.startswith("error [")] or ["it ended early"]
    return fit_to_publish(f"No report was written: {words[-1]}", request)


def _shown_atlas(request: Request) -> Atlas:
    """The atlas that the result's fields belong to."""
    name = str(Result(request.output).manifest.get("most_alike"))
    named = {atlas.name or f"atlas {number}": atlas for number, atlas in enumerate(request.atlases, 1)}
    return named.get(name, request.atlases[0])


def _run(task: Task, request: Request) -> Outcome:
    if not is_done(request.output):
        if Path(task.cancel).exists():
            return Outcome(task.id, State.WAITING)
        if not request.target.exists():  # the worker would say the same, after seconds of loading
            raise JobError(Code.FILE_MISSING, f"The target of case {task.id} does not exist.", "Check its path.")
        job = start(request, python=sys.executable, environment={**os.environ, **task.environment}, module=task.worker)
        try:
            ended = _wait(task, job)
        except JobError as error:
            # A twin of this task, taken for lost, may have been quicker.
            if not (error.code is Code.OUTPUT_EXISTS and is_done(request.output)):
                _keep_log(task, job, request)
                raise
        except BaseException:
            job.kill()
            raise
        else:
            if not ended:
                return Outcome(task.id, State.WAITING)
    problem = make_report(request) if task.report and not (request.output / REPORT).is_file() else ""
    return Outcome(task.id, State.DONE, message=problem)


def _wait(task: Task, job: Job) -> bool:
    """Wait for the job's end; False where it was cancelled before."""
    while True:
        try:
            job.wait(timeout=_POLL_SECONDS)
            return True
        except TimeoutError:
            if Path(task.cancel).exists():
                return job.cancel_and_wait().result is not None


def _keep_log(task: Task, job: Job, request: Request) -> None:
    if not job.log_path.is_file():
        return
    with suppress(OSError):
        log = Path(task.log)
        log.parent.mkdir(parents=True, exist_ok=True)
        words = job.log_path.read_text(encoding="utf-8", errors="replace")
        log.write_text(known_paths_named(words, request), encoding="utf-8")
    shutil.rmtree(job.work_folder, ignore_errors=True)


def _failed(task: Task, error: JobError, request: Request) -> Outcome:
    words = error.message if Path(task.log).is_file() else str(error)
    return Outcome(task.id, State.FAILED, error.code.value, fit_to_publish(words, request))
