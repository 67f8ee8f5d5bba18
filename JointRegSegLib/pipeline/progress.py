"""Where a run is, what its steps cost, and whether it was cancelled."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from ..job import Caution, Code, Event, JobError, Kind, StepCost
from .machine import peak_memory

SHARES = {"prepare": 0.05, "align": 0.15, "register": 0.6, "fuse": 0.05, "check": 0.1, "write": 0.05}
"""The steps in their order and the share of a usual run's time that each takes."""


class Progress:
    """Tells the listener how a run goes and keeps what its steps cost.

    Args:
        report: receives the events.
        cancelled: asked often; once it says yes, the next call here raises `JobError` CANCELLED.
        shares: the steps in their order and the share of the time that each takes.
    """

    def __init__(
        self, report: Callable[[Event], None], cancelled: Callable[[], bool], shares: Mapping[str, float] = SHARES
    ) -> None:
        self._report = report
        self._cancelled = cancelled
        self._shares = shares
        self._step = ""
        self._told = -1.0
        self.costs: list[StepCost] = []
        self.cautions: list[Caution] = []

    @contextmanager
    def step(self, name: str, message: str) -> Iterator[None]:
        """Run the block as one of the pipeline's steps."""
        self._step, self._told = name, -1.0
        self.done(0.0, message)
        wall, cpu = time.perf_counter(), sum(os.times()[:2])
        yield
        seconds, cpu_seconds = time.perf_counter() - wall, sum(os.times()[:2]) - cpu
        self.costs.append(StepCost(name, seconds, cpu_seconds, peak_memory() / 1e6))

    def done(self, share: float, message: str = "") -> None:
        """Say that `share` (0 to 1) of the current step is done; steps of less than 1 % of the run are not told."""
        if self._cancelled():
            raise JobError(Code.CANCELLED, "The run was cancelled.")
        before = 0.0
        for name, weight in self._shares.items():
            if name == self._step:
                break
            before += weight
        fraction = before + share * self._shares[self._step]
        if message or fraction >= self._told + 0.01:
            self._told = fraction
            self._report(Event(Kind.PROGRESS, message, self._step, round(fraction, 4)))

    def log(self, message: str) -> None:
        """A line for the log."""
        self._report(Event(Kind.LOG, message, self._step))

    def caution(self, code: str, message: str) -> None:
        """Something the user should know; told now and kept in the quality table."""
        self.cautions.append(Caution(code, message))
        self._report(Event(Kind.CAUTION, message, self._step, code=code))
