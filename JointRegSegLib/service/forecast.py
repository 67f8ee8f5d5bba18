"""How much memory a run will take at most, asked of a child process, which knows the engine."""

from __future__ import annotations

from dataclasses import dataclass

from ..job import Quality, Similarity
from .asking import ask

_CHILD = "JointRegSegLib.service.forecaster"


@dataclass(frozen=True)
class Ask:
    """What the memory depends on: voxels of target and largest atlas, quality, similarity, and masks."""

    target_voxels: int
    atlas_voxels: int
    quality: Quality
    similarity: Similarity
    masked: bool = False


@dataclass(frozen=True)
class Forecast:
    """Main memory in GB: what the run takes at most, and what is free (None where nobody can tell)."""

    needed_gb: float
    free_gb: float | None


def forecast(asked: Ask, python: str | None = None) -> Forecast:
    """The memory of a run by optimization on the CPU; blocks for seconds. Raises `JobError` as of `asking.ask`."""
    arguments = (
        str(asked.target_voxels),
        str(asked.atlas_voxels),
        asked.quality.value,
        asked.similarity.value,
        str(int(asked.masked)),
    )
    found = ask(_CHILD, arguments, python).data
    return Forecast(found["needed_gb"], found["free_gb"])
