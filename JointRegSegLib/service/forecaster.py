"""The child of `forecast`: `python -m JointRegSegLib.service.forecaster TARGET ATLAS QUALITY SIMILARITY 0|1`."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from ..job import Event, Kind, Quality, Similarity
from .asking import answer
from .torch_state import load_torch


def predict(arguments: Sequence[str]) -> Event:
    """The answer to the arguments, as a result's data."""
    load_torch()
    from ..pipeline.machine import free_memory
    from ..pipeline.memory import predicted_peak
    from ..registration import PRESETS

    target, atlas = float(arguments[0]), float(arguments[1])
    quality, similarity, masked = Quality(arguments[2]), Similarity(arguments[3]), arguments[4] == "1"
    working = min(target, PRESETS[quality].most_voxels)
    needed = predicted_peak(target + atlas, working, masked or similarity is Similarity.MIND)
    free = free_memory()
    return Event(Kind.RESULT, data={"needed_gb": needed / 1e9, "free_gb": free / 1e9 if math.isfinite(free) else None})


if __name__ == "__main__":
    sys.exit(answer(lambda: predict(sys.argv[1:])))
