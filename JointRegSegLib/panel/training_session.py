"""One training, followed without holding up the application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import qt

from ..job import Event, JobError, Kind
from ..service import training_client
from ..service.client import Outcome
from ..service.training_client import Trained, TrainingRequest

POLL_MILLISECONDS = 200


class Job(Protocol):
    """What a session needs of `service.training_client.TrainingJob`."""

    trained: Trained | None

    def drain(self) -> list[Event]: ...
    def poll(self) -> Outcome | None: ...
    def cancel(self) -> None: ...


class TrainingSession:
    """Starts a training process and hears it with a timer.

    Args:
        request: what to train.
        python: executable, or None for the default.
        on_change: called when anything below has changed.

    Attributes:
        event: the newest progress event, or None.
        note: the newest remark.
        cautions: what the user should know, to the end.
        trained: how it ended, or None.
        error: why it failed, or None.
    """

    def __init__(self, request: TrainingRequest, python: str | None, on_change: Callable[[], None]) -> None:
        self.request = request
        self.event: Event | None = None
        self.note = ""
        self.cautions: list[str] = []
        self.trained: Trained | None = None
        self.error: JobError | None = None
        self.is_stopping = False
        self._python = python
        self._on_change = on_change
        self._job: Job | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.timeout.connect(self._poll)

    @property
    def is_active(self) -> bool:
        """Whether the process may still be at work."""
        return self._job is not None

    def start(self) -> None:
        """Begin; a training that cannot begin has `error` set."""
        try:
            self._job = training_client.start_training(self.request, self._python)
            self._timer.start()
        except JobError as error:
            self.error = error
        self._on_change()

    def stop(self) -> None:
        """Ask for the end after the present step."""
        if self._job is not None:
            self.is_stopping = True
            self._job.cancel()
            self._on_change()

    def close(self) -> None:
        """Stop, and hear nothing any more."""
        self._on_change = lambda: None
        self.stop()
        self._timer.stop()

    def _poll(self) -> None:
        job = self._job
        if job is None:
            return
        outcome = job.poll()  # before the events, so that none comes after the end
        for event in job.drain():
            if event.kind is Kind.PROGRESS:
                self.event = event
            elif event.kind is Kind.LOG:
                self.note = event.message
            elif event.kind is Kind.CAUTION:
                self.cautions.append(event.message)
        if outcome is not None:
            self._timer.stop()
            self._job = None
            self.trained, self.error = job.trained, outcome.error
        self._on_change()
