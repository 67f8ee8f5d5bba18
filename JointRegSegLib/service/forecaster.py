"""The child of `forecast`: `python -m JointRegSegLib.service.forecaster ASK`, with `Ask.to_json`'s text."""

from __future__ import annotations

import math
import sys

from ..job import Event, Kind
from .asking import answer
from .forecast import Ask
from .torch_state import load_torch

_BYTES = 4
_COMPONENTS = 3


def predict(asked: Ask) -> Event:
    """The answer, as a result's data.

    What only the voxels could tell is taken at its worst: the body fills the target and reaches its edge, which costs
    a margin and weights, and the similarity is the one that takes the most.
    """
    load_torch()
    from ..pipeline.machine import free_memory
    from ..pipeline.memory import PER_SOFT_LABEL, PER_WORKING_VOXEL_COSTLY, predicted_peak
    from ..registration import MARGIN, PRESETS

    around = float(math.prod(n + 2 * MARGIN for n in asked.target_size))
    working = min(around, PRESETS[asked.quality].most_voxels)
    inputs = math.prod(asked.target_size) + asked.atlas_voxels
    proposal = _BYTES * asked.model_voxels * (_COMPONENTS + asked.model_classes)
    pulling = PER_SOFT_LABEL * asked.model_classes * working
    on_gpu = PER_WORKING_VOXEL_COSTLY * working + pulling if asked.on_gpu else None
    needed = proposal + predicted_peak(inputs, 0.0 if asked.on_gpu else working, True)
    needed += 0.0 if asked.on_gpu else pulling
    free = free_memory()
    return Event(
        Kind.RESULT,
        data={
            "needed_gb": needed / 1e9,
            "free_gb": free / 1e9 if math.isfinite(free) else None,
            "gpu_gb": None if on_gpu is None else on_gpu / 1e9,
        },
    )


if __name__ == "__main__":
    sys.exit(answer(lambda: predict(Ask.from_json(sys.argv[1]))))
