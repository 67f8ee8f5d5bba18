"""The runs of several atlases: one after the other in this process, or a few at a time in processes of their own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..job import Code, Event, JobError, Kind, Request, Result
from ..registration import PRESETS
from ..service.client import Job, start
from ..service.processes import usable_cores
from .machine import free_memory
from .memory import predicted_peak
from .progress import Progress

RunOne = Callable[[Request, Callable[[Event], None], Callable[[], bool]], Result]

OF_THE_RUN = frozenset(
    {
        Code.CANCELLED,
        Code.DEVICE_MISSING,
        Code.DISK_FULL,
        Code.INTERNAL,
        Code.OUTPUT_UNWRITABLE,
        Code.REQUEST_INVALID,
        Code.TORCH_BROKEN,
        Code.TORCH_MISSING,
        Code.WORKER_NOT_STARTED,
    }
)
"""Errors that another atlas would meet too."""

_SHARE_OF_FREE = 0.8
_SECONDS = 0.05


@dataclass(frozen=True)
class Shared:
    """How the machine is shared: so many atlases at a time, each with so many threads and so much memory."""

    workers: int
    threads: int | None
    memory_gb: float | None


def shared(request: Request, on_cpu: bool, voxels: int) -> Shared:
    """As many at a time as there are atlases, cores and memory for; on a GPU one.

    Two processes of one thread do more than one process of two threads. Memory is planned for working grids that are
    not coarsened, so that no atlas gets a coarser one because of the others.

    Args:
        voxels: of the target; the atlases are taken to be as large.
    """
    cores = request.threads or usable_cores()
    free = _SHARE_OF_FREE * free_memory()
    allowed = free if request.memory_gb is None else min(free, request.memory_gb * 1e9)
    needed = predicted_peak(2.0 * voxels, min(PRESETS[request.quality].most_voxels, voxels), True)
    workers = max(1, min(len(request.atlases), cores, int(allowed // needed))) if on_cpu else 1
    if workers == 1:
        return Shared(1, request.threads, request.memory_gb)
    return Shared(workers, max(1, cores // workers), allowed / workers / 1e9)


def results_of(
    requests: Sequence[Request], how: Shared, run_one: RunOne, progress: Progress, cancelled: Callable[[], bool]
) -> list[Result | JobError]:
    """Run requests of one atlas each; an atlas that fails gives its error.

    Raises `JobError` for what would befall each of them, CANCELLED among it; nothing is running then.
    """
    here = [replace(request, threads=how.threads, memory_gb=how.memory_gb) for request in requests]
    if how.workers == 1:
        return _one_after_the_other(here, run_one, progress, cancelled)
    return _Workers(here, progress).run(how.workers)


def _one_after_the_other(
    requests: Sequence[Request], run_one: RunOne, progress: Progress, cancelled: Callable[[], bool]
) -> list[Result | JobError]:
    found: list[Result | JobError] = []
    for number, request in enumerate(requests):

        def hear(event: Event, number: int = number, name: str = request.atlases[0].name) -> None:
            _pass_on(event, name, progress)
            if event.fraction is not None:
                progress.done((number + event.fraction) / len(requests))

        try:
            found.append(run_one(request, hear, cancelled))
        except JobError as error:
            found.append(_of_one_atlas(error))
    return found


class _Workers:
    """Worker processes, each with one request."""

    def __init__(self, requests: Sequence[Request], progress: Progress) -> None:
        self._requests, self._progress = requests, progress
        self._found: dict[int, Result | JobError] = {}
        self._running: dict[int, Job] = {}
        self._fractions = [0.0] * len(requests)

    def run(self, workers: int) -> list[Result | JobError]:
        waiting = list(range(len(self._requests)))
        try:
            while waiting or self._running:
                while waiting and len(self._running) < workers:
                    number = waiting.pop(0)
                    self._running[number] = start(self._requests[number], python=sys.executable)
                for number in list(self._running):
                    self._look_after(number)
                self._progress.done(sum(self._fractions) / len(self._fractions))
                time.sleep(_SECONDS)
        finally:
            for job in self._running.values():
                job.cancel()
            for job in self._running.values():
                job.cancel_and_wait()
        return [self._found[number] for number in range(len(self._requests))]

    def _look_after(self, number: int) -> None:
        job = self._running[number]
        outcome = job.poll()
        for event in job.drain():
            _pass_on(event, self._requests[number].atlases[0].name, self._progress)
            if event.fraction is not None:
                self._fractions[number] = event.fraction
        if outcome is not None:
            del self._running[number]
            self._fractions[number] = 1.0
            self._found[number] = outcome.result or _of_one_atlas(
                outcome.error or JobError(Code.WORKER_DIED, "A worker ended without a word.", "Run again.")
            )


def _of_one_atlas(error: JobError) -> JobError:
    if error.code in OF_THE_RUN:
        raise error
    return error


def _pass_on(event: Event, name: str, progress: Progress) -> None:
    if event.kind is Kind.LOG and event.stage:
        progress.log(f"{name}: {event.message}")
