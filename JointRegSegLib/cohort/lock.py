"""A cohort's folder belongs to one process at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..job import Code, JobError
from ..job.filesystem import FileSystem, this_system
from ..job.folders import unwritable

FILE = ".batch.lock"


@contextmanager
def locked(folder: Path, system: FileSystem | None = None) -> Iterator[None]:
    """Hold the folder while the block runs.

    A process that was killed holds nothing any more; one of another machine is taken to be alive.

    Raises:
        JobError: COHORT_BUSY where another process holds it, naming the file; OUTPUT_UNWRITABLE.
    """
    system = system or this_system()
    path = folder / FILE
    for _ in range(2):
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(f"{socket.gethostname()} {os.getpid()}\n")
            break
        except FileExistsError:
            _clear(path, system)
        except OSError as problem:
            raise unwritable(path, problem) from problem
    else:
        raise _busy(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _clear(path: Path, system: FileSystem) -> None:
    """Remove what a killed process left, or raise."""
    try:
        host, _, pid = path.read_text(encoding="utf-8").strip().rpartition(" ")
        if host != socket.gethostname() or system.alive(int(pid)):
            raise _busy(path)
        path.unlink()
    except (OSError, ValueError):
        raise _busy(path) from None


def _busy(path: Path) -> JobError:
    return JobError(
        Code.COHORT_BUSY,
        f"Another batch works on {path.parent}.",
        f"Wait for its end. Where none runs any more, on whatever machine, delete {path}.",
    )
