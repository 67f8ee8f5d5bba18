"""How much memory a run will take at most, asked of a child process, which knows the engine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..job import Quality
from .asking import ask

_CHILD = "JointRegSegLib.service.forecaster"


@dataclass(frozen=True)
class Ask:
    """What the memory depends on.

    Attributes:
        target_size: voxels of the target along i, j, k.
        atlas_voxels: of the largest atlas.
        quality: as of the request.
        on_gpu: whether a graphics card computes that has memory of its own.
        model_voxels: of the grid that a trained model sees; 0 for the optimization.
        model_classes: whose probabilities the model gives, background included; 0 where it does not segment.
    """

    target_size: tuple[int, int, int]
    atlas_voxels: int
    quality: Quality
    on_gpu: bool = False
    model_voxels: int = 0
    model_classes: int = 0

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Ask:
        """What `to_json` wrote."""
        fields = json.loads(text)
        i, j, k = fields["target_size"]
        return cls(**{**fields, "target_size": (i, j, k), "quality": Quality(fields["quality"])})


@dataclass(frozen=True)
class Forecast:
    """Memory in GB, what a model's network computes with not counted.

    Attributes:
        needed_gb: main memory that the run takes at most; about, where a graphics card computes.
        free_gb: main memory that is free, or None where nobody can tell.
        gpu_gb: memory of the graphics card that it takes, about, or None where none computes.
    """

    needed_gb: float
    free_gb: float | None
    gpu_gb: float | None = None


def forecast(asked: Ask, python: str | None = None) -> Forecast:
    """The memory of a run with one atlas; blocks for seconds. Raises `JobError` as of `asking.ask`."""
    return Forecast(**ask(_CHILD, (asked.to_json(),), python).data)
