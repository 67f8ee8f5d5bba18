"""Which code made a figure, and on what machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What decides our figures. The panel, the documents and these scripts may change without making them out of date.
ROOMS = ("job", "volumes", "fields", "losses", "metrics", "registration", "pipeline")
TRAINED_ROOMS = (*ROOMS, "networks", "training", "methods", "fusion", "study")


def engine_code(library: Path = ROOT / "JointRegSegLib", rooms: Iterable[str] = ROOMS) -> str:
    """Hash of the sources and presets of these rooms as they are on disk, committed or not."""
    found = hashlib.sha256()
    for room in rooms:
        for file in sorted(file for ending in ("*.py", "*.toml") for file in (library / room).rglob(ending)):
            found.update(file.relative_to(library).as_posix().encode())
            found.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return found.hexdigest()[:12]


def commit(rooms: Iterable[str] = ROOMS) -> str:
    """The commit that is checked out, with "-dirty" where these rooms differ from it; empty outside a clone."""
    try:
        named = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", *(f"JointRegSegLib/{room}" for room in rooms))
    except (OSError, subprocess.CalledProcessError):
        return ""
    return named + ("-dirty" if changed else "")


def machine() -> dict[str, object]:
    """Processor, cores and system: CPU seconds compare on one machine only."""
    name = platform.processor() or platform.machine()
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        models = [text for text in listed.read_text().splitlines() if text.startswith("model name")]
        name = models[0].split(":", 1)[1].strip() if models else name
    return {"processor": name, "cores": os.cpu_count() or 1, "system": platform.system()}


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
