"""The tools that ours is compared with, in an environment of their own: `.venv-peers`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .parts import PEERS, Row
from .provenance import ROOT

LOCK = Path(__file__).with_name("requirements-peers.lock")
FOLDER = ROOT / ".venv-peers"
SCRIPT = Path(__file__).with_name("peer_run.py")
_PACKAGES = {"greedy": ("picsl_greedy",), "antspyx": ("antspyx",), "convexAdam": ("convexAdam", "picsl_greedy")}


def version(row: Row) -> str:
    """The peer's packages and their versions: what its figures depend on instead of our code."""
    locked = dict(line.strip().split("==") for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line)
    return ", ".join(f"{name} {locked[name]}" for name in _PACKAGES[PEERS[row.method]])


def python() -> Path:
    """The environment's interpreter."""
    return FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def build() -> Path:
    """Make or update the environment where it differs from the lock; returns its interpreter."""
    stamp = FOLDER / ".built-from"
    wanted = LOCK.read_text(encoding="utf-8")
    if python().is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python()
    print(f"installing the peers into {FOLDER.name} (a minute)", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    pip = [str(python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", str(LOCK)]
    subprocess.run(pip, check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return python()
