"""One question to a Python of its own: a child process answers with a single event and ends."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..job import Code, Event, JobError, Kind
from .failures import as_job_error
from .launch import default_python, launch
from .processes import this_system


def ask(
    module: str,
    arguments: Sequence[str] = (),
    python: str | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 120.0,
) -> Event:
    """The event with which `python -m module arguments` answers; blocks for its start and its work.

    Args:
        module: its main part calls `answer`.
        arguments: for the module.
        python: executable; the one that would run the worker where None.
        environment: what the child's environment starts from; this process's own where None.
        timeout: seconds after which the child is ended.

    Raises:
        JobError: what the child said; WORKER_NOT_STARTED; WORKER_DIED where it ended, or was ended, without an answer.
    """
    python = python or default_python()
    system = this_system()
    with tempfile.TemporaryDirectory(prefix="jointregseg-") as folder:
        process = launch(python, module, list(arguments), Path(folder), environment or os.environ, system)
        try:
            output, log = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            system.kill_tree(process.pid)
            process.communicate()
            raise _silent(f"{python} did not answer within {timeout:.0f} s") from None
    for line in output.decode("utf-8", errors="replace").splitlines():
        event = Event.decode(line)
        if event is None:
            continue
        if event.kind is Kind.ERROR:
            raise JobError(Code(event.code), event.message, event.advice)
        return event
    last = log.decode("utf-8", errors="replace").strip().splitlines()[-1:]
    raise _silent(f"{python} {system.describe_exit(process.returncode)} ({' '.join(last)})")


def answer(work: Callable[[], Event]) -> int:
    """What a child does: the work's event, or its error as one, on the standard output; returns the exit status."""
    try:
        event, status = work(), 0
    except Exception as problem:
        error = as_job_error(problem)
        event = Event(Kind.ERROR, message=error.message, code=error.code.value, advice=error.advice)
        status = error.exit_status
    print("\n" + event.encode(), flush=True)
    return status


def _silent(what: str) -> JobError:
    return JobError(Code.WORKER_DIED, f"{what}.", "Check that this Python runs; Set-up in the panel names another one.")
