"""What the tests rely on to be honest about missing libraries."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from Testing.rig.need import need, need_program

ROOT = Path(__file__).resolve().parents[2]

LACKING = """
import pytest
from Testing.rig.need import need

def test_need():
    need("no_such_module", "a library that nobody has")

def test_plain_skip():
    pytest.skip("felt like it")

@pytest.mark.skipif(True, reason="marked")
def test_marked():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_failure():
    assert False
"""
LACKING_FILE = 'from Testing.rig.need import need\nneed("no_such_module")\n\ndef test_never(): pass\n'


def _run_pytest(folder: Path, no_skip: str) -> str:
    folder.joinpath("conftest.py").write_text((ROOT / "Testing/conftest.py").read_text(encoding="utf-8"))
    folder.joinpath("test_lacking.py").write_text(LACKING)
    folder.joinpath("test_lacking_file.py").write_text(LACKING_FILE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors", str(folder)]
    environment = {**os.environ, "JRS_NO_SKIP": no_skip, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False).stdout


def test_missing_things_skip_with_their_name_on_a_users_machine(tmp_path: Path) -> None:
    assert "4 skipped, 1 xfailed" in _run_pytest(tmp_path, "0")


def test_a_skip_is_a_failure_where_everything_is_installed(tmp_path: Path) -> None:
    output = _run_pytest(tmp_path, "1")
    assert "2 failed, 1 xfailed, 2 errors" in output
    assert "needs a library that nobody has" in output


def test_need_hands_over_what_is_there() -> None:
    assert need("numpy").__name__ == "numpy"
    assert Path(need_program(Path(sys.executable).name)).samefile(sys.executable)


def test_need_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JRS_NO_SKIP", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no_such_program is not on the path; needs luck"):
        need_program("no_such_program", "luck")
