"""What the panel remembers on this computer, beside the scenes: in Slicer's own settings."""

from __future__ import annotations

import qt

_GROUP = "JointRegSeg"


def recall(key: str) -> str:
    """The text remembered under a key; empty where there is none."""
    found = qt.QSettings().value(f"{_GROUP}/{key}")
    return "" if found is None else str(found)


def remember(key: str, text: str) -> None:
    """Remember a text under a key; an empty one is forgotten."""
    settings = qt.QSettings()
    if text:
        settings.setValue(f"{_GROUP}/{key}", text)
    else:
        settings.remove(f"{_GROUP}/{key}")


def run_seconds(method: str, quality: str) -> float | None:
    """How long the latest run of this method and quality took on this computer, or None where there was none."""
    try:
        return float(recall(f"seconds/{method}/{quality}"))
    except ValueError:
        return None


def remember_run(method: str, quality: str, seconds: float) -> None:
    """Remember how long a run took."""
    remember(f"seconds/{method}/{quality}", f"{seconds:.1f}")
