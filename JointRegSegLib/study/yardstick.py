"""What a model's segmentation has to beat: labels that the optimisation alone carries onto the same scans."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..job import Device, Quality
from ..training.subjects import Split
from .evaluate import Arm, Study, evaluate


def optimisation_dice(
    model: Path, data: Path, device: Device, threads: int | None, cancelled: Callable[[], bool]
) -> float:
    """Mean Dice over structures and validation scans of the first atlas's labels, registered by Fast without the model.

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
                arms=(Arm.OPTIMISATION,),
                quality=Quality.FAST,
                device=device,
                threads=threads,
                timed=False,
            ),
            lambda event: None,
            cancelled,
        )
    return float(np.mean([np.mean(list(record.dice["registration"].values())) for record in records]))
