"""Computing a cohort: what is there stays, what is missing is computed, and the tables and the page follow."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..job import Code, JobError, Request, Result
from ..job.folders import unwritable
from ..job.result import REPORT
from ..service.client import WORKER
from .cases import Case
from .lock import locked
from .settings import FILE, settle
from .status import Record, Status
from .task import Outcome, State, Task, is_done, make_report

RESULTS, LOGS, CANCEL = "cases", "logs", ".cancel"
_FOR_WANT_OF_MEMORY = {Code.WORKER_DIED.value, Code.OUT_OF_MEMORY.value}


class Compute(Protocol):
    """Whoever computes tasks: `local.compute` or `cluster.compute_on`, with its machines given."""

    def __call__(self, tasks: Sequence[tuple[Task, Request]]) -> Generator[str | Outcome, None, None]:
        """Tell an id when its case begins, where that is known, and an outcome when it ends."""


@dataclass(frozen=True)
class Cohort:
    """Many targets.

    Attributes:
        folder: for results, tables and reports.
        cases: the targets.
        template: a request with the atlases and all that the cases share; its target and output are not looked at.
        atlases, model: digests of the atlas library and of the model, empty without one.
        reports: whether pages are written.
        worker: the main module of the processes that compute.
    """

    folder: Path
    cases: tuple[Case, ...]
    template: Request
    atlases: str = ""
    model: str = ""
    reports: bool = True
    worker: str = WORKER

    def request(self, case: Case) -> Request:
        """A case's request."""
        return replace(
            self.template,
            target=case.target.absolute(),
            output=(self.folder / RESULTS / case.id).absolute(),
            overwrite=False,
            **case.options,
        )


def run_cohort(cohort: Cohort, compute: Compute, tell: Callable[[str], None]) -> tuple[Record, ...]:
    """Compute what has no result yet, and write `status.csv`, `cohort.html` and `volumes.csv`.

    A case that failed for want of memory gets a second attempt, alone, when the others have ended; one that failed in
    an earlier call gets a new attempt. The first exception in here, a `KeyboardInterrupt` say, cancels what runs; what
    is done by then stays.

    Args:
        cohort: what to compute.
        compute: on which machines.
        tell: hears a line for each case that ends.

    Returns: how each case stands.

    Raises:
        JobError: COHORT_BUSY, COHORT_INVALID, OUTPUT_EXISTS, OUTPUT_UNWRITABLE or DISK_FULL.
    """
    folder = cohort.folder
    _open(folder)
    with locked(folder):
        done = {case.id for case in cohort.cases if is_done(folder / RESULTS / case.id)}
        settle(folder, cohort.template, cohort.atlases, cohort.model, cohort.cases, done)
        (folder / CANCEL).unlink(missing_ok=True)
        status = Status(folder, [case.id for case in cohort.cases])
        for case in cohort.cases:
            status.found(case.id, case.id in done)
        status.write()
        tasks = [_task(cohort, case) for case in cohort.cases if case.id not in done]
        if done:
            tell(f"{len(done)} of {len(cohort.cases)} cases are done already.")
        try:
            _compute(tasks, compute, status, tell)
        finally:
            for record in status.records:
                if record.state is State.RUNNING:
                    status.found(record.id, done=False)
            status.write()
        if cohort.reports:
            _report(cohort, status, tell)
        return status.records


def _open(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strange = any(folder.iterdir()) and not (folder / FILE).is_file()
    except OSError as problem:
        raise unwritable(folder, problem) from problem
    if strange:
        raise JobError(
            Code.OUTPUT_EXISTS,
            f"The output folder {folder} holds files that are no cohort of JointRegSeg.",
            "Name another folder.",
        )


def _task(cohort: Cohort, case: Case) -> tuple[Task, Request]:
    folder, request = cohort.folder.absolute(), cohort.request(case)
    return Task(
        id=case.id,
        request=request.to_json(),
        cancel=str(folder / CANCEL),
        log=str(folder / LOGS / f"{case.id}.log"),
        report=cohort.reports,
        worker=cohort.worker,
        line=case.line,
    ), request


def _compute(tasks: list[tuple[Task, Request]], compute: Compute, status: Status, tell: Callable[[str], None]) -> None:
    lacked = _follow(tasks, compute, status, tell)
    for task, request in tasks:
        if task.id in lacked:
            tell(f"{task.id}: once more, alone")
            _follow([(task, request)], compute, status, tell)


def _follow(
    tasks: list[tuple[Task, Request]], compute: Compute, status: Status, tell: Callable[[str], None]
) -> set[str]:
    """Compute tasks, keep the status and return the ids of those that lacked memory."""
    lacked = set()
    lines = {task.id: task.line for task, _ in tasks}
    with closing(compute(tasks)) as events:
        for event in events:
            if isinstance(event, str):
                status.started(event)
                continue
            status.ended(event)
            tell(_line(event, lines[event.id], status.records))
            if event.code in _FOR_WANT_OF_MEMORY:
                lacked.add(event.id)
    return lacked


def _line(outcome: Outcome, line: int, records: Iterable[Record]) -> str:
    states = [record.state for record in records]
    ended = len(states) - states.count(State.WAITING) - states.count(State.RUNNING)
    words = f" [{outcome.code}] {outcome.message}" if outcome.code else f" {outcome.message}".rstrip()
    where = f" (line {line})" if line and outcome.state is State.FAILED else ""
    return f"[{ended}/{len(states)}] {outcome.id}{where}: {outcome.state.value} after {outcome.seconds:.0f} s{words}"


def _report(cohort: Cohort, status: Status, tell: Callable[[str], None]) -> None:
    """Write the pages that are missing, and the cohort's; without the libraries for it, say so."""
    try:
        from ..report.cohort_page import Case as Shown
        from ..report.cohort_page import write_cohort

        shown: list[Shown] = []
        for case in cohort.cases:
            record, request = status.of(case.id), cohort.request(case)
            message = record.message
            if record.state is State.DONE and not (request.output / REPORT).is_file():
                message = make_report(request)
            result = Result(request.output) if record.state is State.DONE else None
            shown.append(Shown(case.id, record.state.value, message, result))
        tell(f"report: {write_cohort(cohort.folder.absolute(), shown)}")
    except JobError as problem:
        if problem.code is not Code.EXTRA_MISSING:
            raise
        tell(f"No report was written: {problem}")
