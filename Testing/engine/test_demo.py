"""`make demo` as a user calls it: the main job on the phantom, through request, worker and result."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from JointRegSegLib.job import Result
from Testing.rig.need import need

ROOT = Path(__file__).resolve().parents[2]


def test_the_demonstration_registers_prints_and_draws(tmp_path: Path) -> None:
    need("torch")
    need("matplotlib")
    command = [sys.executable, "-m", "JointRegSegLib.demo", "--output", str(tmp_path / "out"), "--quality", "fast"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in ("prepare", "align", "register", "fuse", "check", "write"):
        assert re.search(rf"^\[ *\d+%\] {stage}\b", done.stderr, re.MULTILINE), stage
    before, after = (float(value) for value in re.search(r"^mean +(\S+) +(\S+)$", done.stdout, re.MULTILINE).groups())
    assert before < 0.2
    assert after > 0.8
    assert Result.open(tmp_path / "out" / "result").quality.measures
    assert (tmp_path / "out" / "overview.png").stat().st_size > 100_000


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    command = [sys.executable, "-m", "JointRegSegLib.demo", "--output", str(tmp_path / "file")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "file" in done.stderr
