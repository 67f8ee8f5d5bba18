"""What Slicer's process and the command line's parser import: nothing beyond the standard library, and fast."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BLOCKED = ("torch", "numpy", "scipy", "SimpleITK", "tqdm", "qt", "slicer", "vtk")
SCRIPT = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import {module}
heavy = {{name.partition(".")[0] for name, module in sys.modules.items() if module is not None}}
assert not heavy & {{"torch", "numpy", "scipy", "SimpleITK"}}, heavy
"""


@pytest.mark.parametrize(
    "module",
    ["JointRegSegLib.job", "JointRegSegLib.service.client", "JointRegSegLib.service.worker", "JointRegSegLib.cli"],
)
def test_the_light_rooms_import_with_every_library_blocked(module: str) -> None:
    script = SCRIPT.format(blocked=BLOCKED, module=module)
    run = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_posix_names_are_not_touched_at_import() -> None:
    script = (
        "import os, signal\n"
        "for owner, name in ((os, 'killpg'), (os, 'getpgrp'), (os, 'setsid'), (os, 'fork'), (signal, 'SIGKILL')):\n"
        "    if hasattr(owner, name): delattr(owner, name)\n"
        "import JointRegSegLib.service.client, JointRegSegLib.service.worker, JointRegSegLib.cli"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
