"""Work that blocks, kept off the main thread; its end is heard on the main thread, where Qt and the scene live."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import qt

from ..job import JobError
from ..service.failures import as_job_error

POLL_MILLISECONDS = 100


class Background:
    """One piece of work at a time, on a thread of its own.

    The work must touch neither Qt nor the scene.
    """

    def __init__(self) -> None:
        self._ended: list[tuple[Any, JobError | None]] = []
        self._thread: threading.Thread | None = None
        self._done: Callable[[Any, JobError | None], None] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.timeout.connect(self._poll)

    @property
    def is_busy(self) -> bool:
        """Whether work has begun and its end has not been heard."""
        return self._done is not None

    def start(self, work: Callable[[], Any], done: Callable[[Any, JobError | None], None]) -> None:
        """Begin; what was begun before goes on, but its end is no longer heard.

        Args:
            work: called on the thread.
            done: called on the main thread with what `work` returned, or None, and why it failed, or None.
        """
        self._ended, self._done = [], done
        self._thread = threading.Thread(target=_run, args=(work, self._ended), daemon=True)
        self._thread.start()
        self._timer.start()

    def close(self) -> None:
        """Hear nothing any more."""
        self._timer.stop()
        self._done = None

    def _poll(self) -> None:
        if self._ended and self._done is not None:
            done, self._done = self._done, None
            self._timer.stop()
            done(*self._ended[0])


def _run(work: Callable[[], Any], ended: list[tuple[Any, JobError | None]]) -> None:
    try:
        found = work()
    except Exception as problem:
        error = as_job_error(problem)
        if error is not problem:
            logging.getLogger(__name__).error("Work in the background failed", exc_info=problem)
        ended.append((None, error))
    else:
        ended.append((found, None))
