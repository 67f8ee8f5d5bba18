"""Starting and ending a process with all its descendants, on POSIX and on Windows. Nothing here runs at import."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Any, Protocol

CREATE_NEW_PROCESS_GROUP = 0x00000200
CREATE_NO_WINDOW = 0x08000000


class ProcessSystem(Protocol):
    """What an operating system offers for a process tree; `pid` is that of the process started with `options`."""

    def options(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` that give the new process a group of its own."""

    def terminate_tree(self, pid: int) -> None:
        """Ask the process and its descendants to end."""

    def kill_tree(self, pid: int) -> None:
        """End the process and its descendants now."""

    def tree_alive(self, pid: int) -> bool:
        """Whether any of them runs; False where nobody can tell."""

    def own_tree(self) -> int:
        """The `pid` under which this very process and its relatives can be ended."""

    def describe_exit(self, status: int) -> str:
        """How a process ended, as the end of a sentence."""


class Posix:
    """Linux and macOS: the process leads a session, and the session's group is signalled."""

    def __init__(self, killpg: Callable[[int, int], None] | None = None) -> None:
        self._killpg = killpg

    def options(self) -> dict[str, Any]:
        """See `ProcessSystem`."""
        return {"start_new_session": True}

    def terminate_tree(self, pid: int) -> None:
        """See `ProcessSystem`."""
        self._signal(pid, int(signal.SIGTERM))

    def kill_tree(self, pid: int) -> None:
        """See `ProcessSystem`."""
        self._signal(pid, 9)

    def tree_alive(self, pid: int) -> bool:
        """See `ProcessSystem`."""
        return self._signal(pid, 0)

    def own_tree(self) -> int:
        """See `ProcessSystem`."""
        return os.getpgrp()

    def describe_exit(self, status: int) -> str:
        """See `ProcessSystem`."""
        if status >= 0:
            return f"ended with exit status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = "an unknown signal"
        return f"was killed by signal {-status} ({name})"

    def _signal(self, group: int, number: int) -> bool:
        try:
            (self._killpg or os.killpg)(group, number)
        except (ProcessLookupError, PermissionError):
            # macOS answers with a PermissionError for a group of which only zombies are left.
            return False
        return True


class Windows:
    """Windows: taskkill walks from the process to its descendants."""

    def __init__(self, run: Callable[[Sequence[str]], object] | None = None) -> None:
        self._run = run or _run_hidden

    def options(self) -> dict[str, Any]:
        """See `ProcessSystem`."""
        return {"creationflags": CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW}

    def terminate_tree(self, pid: int) -> None:
        """See `ProcessSystem`."""
        self._run(["taskkill", "/T", "/PID", str(pid)])

    def kill_tree(self, pid: int) -> None:
        """See `ProcessSystem`."""
        self._run(["taskkill", "/T", "/F", "/PID", str(pid)])

    def tree_alive(self, pid: int) -> bool:
        """See `ProcessSystem`; Windows keeps no group that could be asked."""
        return False

    def own_tree(self) -> int:
        """See `ProcessSystem`."""
        return os.getpid()

    def describe_exit(self, status: int) -> str:
        """See `ProcessSystem`; large statuses are system errors, which people know in hexadecimal."""
        return (
            f"ended with exit status {status & 0xFFFFFFFF:#x}"
            if abs(status) > 255
            else f"ended with exit status {status}"
        )


def this_system() -> ProcessSystem:
    """The branch for the machine we run on."""
    return Windows() if os.name == "nt" else Posix()


def _run_hidden(command: Sequence[str]) -> object:
    return subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, creationflags=CREATE_NO_WINDOW
    )


def usable_cores() -> int:
    """CPU cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # neither macOS nor Windows tells
        return os.cpu_count() or 1
