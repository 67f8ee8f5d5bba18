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


def default_python() -> str:
    """The Python that runs our workers: inside Slicer its PythonSlicer launcher, elsewhere the one that runs now."""
    found = shutil.which("PythonSlicer") if "slicer" in sys.modules else None
    return found or sys.executable


def worker_environment(base: Mapping[str, str], python: str) -> dict[str, str]:
    """The environment of a child Python.

    UTF-8 everywhere, unbuffered, our package importable, and idle OpenMP threads that sleep.

    Args:
        base: what to start from, for example this process's own or Slicer's startup environment.
        python: the child's executable. A PYTHONHOME is kept only for the Python that it was set for, this one.
    """
    environment = dict(base)
    paths = [str(LIBRARY_PARENT), *filter(None, base.get("PYTHONPATH", "").split(os.pathsep))]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    environment.update(PYTHONUTF8="1", PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
