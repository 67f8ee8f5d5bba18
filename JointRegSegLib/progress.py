"""A run's events on a terminal: a bar where tqdm is installed, plain lines elsewhere."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .job import Event, Kind

_STEP = 0.1
_SECONDS = 60.0


class Progress(Protocol):
    """Something that shows events."""

    def show(self, event: Event) -> None:
        """Show one event."""


class Silent:
    """Shows nothing."""

    def show(self, event: Event) -> None:
        """See `Progress`."""


class Lines:
    """One line for each new stage, each tenth of the run and each minute, for logs and bare terminals."""

    def __init__(self) -> None:
        self._stage = ""
        self._next = 0.0
        self._told = time.monotonic()

    def show(self, event: Event) -> None:
        """See `Progress`."""
        if event.kind in (Kind.LOG, Kind.CAUTION):
            print(_note(event), file=sys.stderr, flush=True)
        if event.kind is not Kind.PROGRESS or event.fraction is None:
            return
        late = time.monotonic() - self._told >= _SECONDS
        if event.stage != self._stage or event.fraction >= self._next or late:
            self._stage, self._told = event.stage, time.monotonic()
            self._next = event.fraction + _STEP
            left = f" ({_duration(event.eta_seconds)} left)" if event.eta_seconds is not None else ""
            print(f"[{event.fraction:4.0%}] {event.stage}: {event.message}{left}", file=sys.stderr, flush=True)


class Bar:
    """tqdm's bar, filled by the run's fraction.

    Args:
        bar: a tqdm bar with a total of 1.
    """

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def show(self, event: Event) -> None:
        """See `Progress`."""
        if event.kind in (Kind.LOG, Kind.CAUTION):
            self._bar.write(_note(event), file=sys.stderr)
        if event.kind in (Kind.PROGRESS, Kind.RESULT) and event.fraction is not None:
            self._bar.n = max(self._bar.n, event.fraction)
            self._bar.set_description_str(event.stage or "done", refresh=False)
            left = f", {_duration(event.eta_seconds)} left" if event.eta_seconds is not None else ""
            self._bar.set_postfix_str(f"{event.message}{left}", refresh=False)
            self._bar.refresh()


@contextmanager
def open_progress(quiet: bool) -> Iterator[Progress]:
    """The display that fits the terminal and what is installed."""
    if quiet:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield Lines()
        return
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ImportError:
        print("For a progress bar install the extra cli: pip install 'jointregseg[cli]'", file=sys.stderr)
        yield Lines()
        return
    with tqdm(total=1.0, bar_format="{desc:<8} {percentage:3.0f}% |{bar}| {elapsed} {postfix}") as bar:
        yield Bar(bar)


def _note(event: Event) -> str:
    return f"caution [{event.code}]: {event.message}" if event.kind is Kind.CAUTION else event.message


def _duration(seconds: float | None) -> str:
    minutes, rest = divmod(round(seconds or 0.0), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
