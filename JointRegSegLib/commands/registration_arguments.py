"""How a target is registered and segmented: what `run` and `batch` ask alike."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..job import Device, Fusion, Quality, Refinement, Similarity
from ..job.request import OPTIMISATION, START_AS_PLACED, START_AUTO
from ..library.models import find_model
from ..methods import METHODS
from ..training.card import load_card
from .atlas_arguments import add_fusion
from .common import add_machine


def add_registration(how: argparse._ArgumentGroup) -> None:
    """The arguments."""
    how.add_argument(
        "--method", choices=[OPTIMISATION, *METHODS], help="default: the model's, else optimisation, without training"
    )
    how.add_argument("--model", type=Path, metavar="NAME_OR_FILE", help="an installed model, or what `train` made")
    how.add_argument(
        "--refine",
        choices=[r.value for r in Refinement],
        default="auto",
        help="what improves the model's field: nothing, the images, or images and the model's segmentation; "
        "default: joint where validation found segmentation no worse than the optimisation, else images",
    )
    how.add_argument("--quality", choices=[q.value for q in Quality], default="normal", help="default: normal")
    how.add_argument("--similarity", choices=[s.value for s in Similarity], default="auto", help="default: auto")
    how.add_argument(
        "--start", default="auto", metavar="auto|as-placed|FILE.tfm", help="first alignment; default: auto"
    )
    add_fusion(how)
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random; default: 0")
    how.add_argument("--memory-gb", type=float, metavar="GB", help="the most memory to plan for; default: what is free")
    add_machine(how)


def registration_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request that these arguments decide; `JobError` MODEL_MISSING or MODEL_INVALID."""
    model = None if arguments.model is None else find_model(arguments.model)
    start = arguments.start
    return {
        "quality": Quality(arguments.quality),
        "similarity": Similarity(arguments.similarity),
        "start": start if start in (START_AUTO, START_AS_PLACED) else str(Path(start).absolute()),
        "device": Device(arguments.device),
        "seed": arguments.seed,
        "threads": arguments.threads,
        "memory_gb": arguments.memory_gb,
        "method": arguments.method or (OPTIMISATION if model is None else load_card(model).method),
        "model": None if model is None else model.absolute(),
        "refinement": Refinement(arguments.refine),
        "fusion": Fusion(arguments.fusion),
        "most_atlases": arguments.most_atlases,
    }
