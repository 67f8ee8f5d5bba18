"""PyTorch from a folder of wheel files, without a network."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..job import Code, JobError
from .launch import default_python, worker_environment
from .processes import this_system

REQUIREMENTS = {"torch": "torch>=2.2", "safetensors": "safetensors>=0.4"}
"""What the worker needs beyond what Slicer brings; the second only where the folder has it."""
_ADVICE = "Fill it on a computer with network and the same system: pip download torch safetensors --dest FOLDER"


def wheels(folder: Path) -> list[Path]:
    """The wheels of what is needed in a folder; `JobError` TORCH_MISSING where none is PyTorch's."""
    found = sorted(file for name in REQUIREMENTS for file in folder.glob(f"{name}-*.whl"))
    if not any(file.name.startswith("torch-") for file in found):
        raise JobError(Code.TORCH_MISSING, f"The folder {folder} has no wheel of PyTorch (torch-*.whl).", _ADVICE)
    return found


def install_from(folder: Path, python: str | None = None) -> None:
    """Install PyTorch from the folder alone, by the Python's own pip; blocks for as long as that takes.

    Raises:
        JobError: TORCH_MISSING where the folder has no PyTorch, or pip failed, with its last words;
            WORKER_NOT_STARTED where the Python cannot be started.
    """
    wanted = [REQUIREMENTS[name] for name in {file.name.split("-")[0] for file in wheels(folder)}]
    python = python or default_python()
    command = [python, "-m", "pip", "install", "--no-index", "--find-links", str(folder), *sorted(wanted)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=worker_environment(os.environ, python),
            check=False,
            **this_system().options(),
        )
    except OSError as problem:
        raise JobError(
            Code.WORKER_NOT_STARTED,
            f"The worker process {python} cannot be started: {problem.strerror or problem}.",
            "Check that this Python exists and may be executed.",
        ) from problem
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode("utf-8", errors="replace").strip().splitlines()[-1:]
        raise JobError(Code.TORCH_MISSING, f"PyTorch could not be installed from {folder}: {' '.join(said)}", _ADVICE)
