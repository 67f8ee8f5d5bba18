"""A worker that does what a test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from JointRegSegLib.job import Code, Event, JobError, Kind, Request, Result
from JointRegSegLib.service.client import Outcome


class FakeJob:
    """Stands in for `service.client.Job`: the test tells it what to say and when to end."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.python: str | None = None
        self.cancelled = False
        self._events: list[Event] = []
        self._outcome: Outcome | None = None

    def start(self, request: Request, python: str | None = None, work_folder: Path | None = None) -> FakeJob:
        self.request, self.python = request, python
        return self

    def say(self, stage: str, fraction: float, eta_seconds: float | None = None) -> None:
        self._events.append(Event(Kind.PROGRESS, stage=stage, fraction=fraction, eta_seconds=eta_seconds))

    def tell(self, event: Event) -> None:
        self._events.append(event)

    def finish(self, result: Result) -> None:
        self._outcome = Outcome(result=result)

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
