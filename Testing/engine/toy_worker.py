"""A worker with the real entry point and a toy for a pipeline; the request's target names what the toy does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from JointRegSegLib.job import Code, Event, JobError, Kind, QualityTable, Request, Result
from JointRegSegLib.job.folders import staging
from JointRegSegLib.job.result import FILES, MANIFEST, QUALITY_JSON
from JointRegSegLib.service import worker

Report = Callable[[Event], None]
Cancelled = Callable[[], bool]

STAGES = ("prepare", "align", "register", "fuse", "check", "write")


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch's own."""


def run(request: Request, report: Report, cancelled: Cancelled) -> Result:
    """What the target's name says."""
    action, _, stage = request.target.name.partition("-")
    failures: dict[str, BaseException] = {
        "refuse": JobError(Code.IMAGE_EMPTY, "The image 東京.nii is constant.", "Give an image that shows something."),
        "break": ValueError("shapes differ"),
        "memory": MemoryError("Unable to allocate 9 TiB"),
        "gpu": OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        "allocator": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        "full": OSError(errno.ENOSPC, "No space left on device"),
    }
    with staging(request.output, request.overwrite) as folder:
        (folder / "half").touch()
        if action in failures:
            raise failures[action]
        if action == "crash":
            print("the end is near", file=sys.stderr, flush=True)
            os._exit(7)
        if action == "incomplete":
            return Result(request.output)
        for number, name in enumerate(STAGES):
            print(f"stray words about {name}")
            os.write(1, b"half a line ")
            report(Event(Kind.PROGRESS, f"doing {name} für Zoë", stage=name, fraction=number / len(STAGES)))
            if name == stage:
                _linger(action, report, cancelled)
        (folder / "half").unlink()
        _fill(folder)
    return Result(request.output.resolve())


def _linger(action: str, report: Report, cancelled: Cancelled) -> None:
    if action == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    report(Event(Kind.CAUTION, data={"pids": [os.getpid(), child.pid]}))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if action == "wait" and cancelled():
            raise JobError(Code.CANCELLED, "The run was cancelled.")
        time.sleep(0.02)


def _fill(folder: Path) -> None:
    for name in FILES:
        (folder / name).touch()
    (folder / QUALITY_JSON).write_text(QualityTable().to_json(), encoding="utf-8")
    (folder / MANIFEST).write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(worker.main(load=lambda: run))
