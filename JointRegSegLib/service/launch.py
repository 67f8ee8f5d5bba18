"""How a Python of ours is started: the command, its environment and its pipes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..job import Code, JobError
from .processes import ProcessSystem

LIBRARY_PARENT = Path(__file__).resolve().parents[2]

# Idle OpenMP threads sleep instead of spinning, which slows down everything else on the machine.
IDLE_THREADS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
# glibc gives the memory of every large tensor back to the system as soon as it is freed, and the next tensor pays for
# fresh zeroed pages: with these it keeps what it has, and arithmetic on whole volumes is 2 to 10 times faster.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TOP_PAD_": str(64 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
}


def default_python() -> str:
    """The Python that runs our workers: inside Slicer its PythonSlicer launcher, elsewhere the one that runs now."""
    found = shutil.which("PythonSlicer") if "slicer" in sys.modules else None
    return found or sys.executable


def worker_environment(base: Mapping[str, str], python: str, platform: str = sys.platform) -> dict[str, str]:
    """The environment of a child Python.

    UTF-8 everywhere, unbuffered, our package importable; and, where the user has not said otherwise, idle OpenMP
    threads that sleep and, on Linux, freed memory that stays with the process until its end.

    Args:
        base: what to start from, for example this process's own or Slicer's startup environment.
        python: the child's executable. A PYTHONHOME is kept only for the Python that it was set for, this one.
        platform: as `sys.platform`.
    """
    environment = dict(base)
    paths = [str(LIBRARY_PARENT), *filter(None, base.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    environment.update(PYTHONUTF8="1", PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
    defaults = {**IDLE_THREADS, **(KEEP_MEMORY if platform.startswith("linux") else {})}
    environment = {**defaults, **environment}
    if python != sys.executable:
        environment.pop("PYTHONHOME", None)
    return environment


def launch(
    python: str,
    module: str,
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    system: ProcessSystem,
) -> subprocess.Popen[bytes]:
    """Start `python -m module arguments` in `folder`, in a process group of its own, with three pipes.

    The folder should hold no Python files: `-m` puts it at the head of the child's import path.

    Raises:
        JobError: WORKER_NOT_STARTED.
    """
    try:
        return subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=worker_environment(environment, python),
            **system.options(),
        )
    except OSError as problem:
        raise JobError(
            Code.WORKER_NOT_STARTED,
            f"The worker process {python} cannot be started: {problem.strerror or problem}.",
            "Check that this Python exists and may be executed.",
        ) from problem
