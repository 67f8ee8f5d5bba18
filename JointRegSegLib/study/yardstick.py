"""What a model's segmentation has to beat, the labels that the optimisation carries, and what both together give."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..job import Device, Quality
from ..job.request import OPTIMISATION
from ..training.card import FUSED
from ..training.subjects import Split
from .evaluate import Arm, Study, evaluate


def run_scores(
    model: Path, data: Path, device: Device, threads: int | None, cancelled: Callable[[], bool]
) -> dict[str, float]:
    """Mean Dice over structures and validation scans of the labels that a Fast run with the first atlas gives.

    Under "optimisation" without the model, under "fused" with its field, refined by the images, and its segmentation.

    Args:
        model: a package, whose structures count.
        data: what it was trained on.

    Raises `JobError` as `evaluate` does.
    """
    with tempfile.TemporaryDirectory(prefix="jointregseg-") as folder:
        records = evaluate(
            Study(
                model,
                data,
                Path(folder),
                split=Split.VALIDATE,
                atlases=1,
                arms=(Arm.OPTIMISATION, Arm.IMAGES),
                quality=Quality.FAST,
                device=device,
                threads=threads,
                timed=False,
            ),
            lambda event: None,
            cancelled,
        )
    sources = {OPTIMISATION: (Arm.OPTIMISATION, "registration"), FUSED: (Arm.IMAGES, "fused")}
    return {
        name: float(np.mean([np.mean(list(one.dice[source].values())) for one in records if one.arm == arm.value]))
        for name, (arm, source) in sources.items()
    }
