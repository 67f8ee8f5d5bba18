"""The main job: prepare, align, register, fuse, check, write."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import torch

from ..job import Event, QualityTable, Request, Result
from ..job.folders import staging
from ..job.request import OPTIMISATION
from .check import check
from .consistency import fit_inverse
from .corrections import read_earlier
from .devices import choose_device, describe, limit_threads
from .fuse import fuse
from .guidance import Guidance
from .prepare import Inputs, prepare
from .progress import Progress
from .propagate import propagate
from .several import run_several
from .transform import align_step, register_step
from .write import manifest, write_images, write_tables

if TYPE_CHECKING:
    from .trained import TrainedModel


def run(request: Request, report: Callable[[Event], None], cancelled: Callable[[], bool]) -> Result:
    """Register the atlas or the atlases to the target and carry their labels over.

    Args:
        request: what to do.
        report: receives progress, log lines and cautions.
        cancelled: asked between iterations; a yes ends the run.

    Returns: the result, whole, in `request.output`.

    Raises:
        JobError: bad input, an environment that cannot do it, or CANCELLED; nothing is left behind then.
    """
    if len(request.atlases) > 1:
        return run_several(request, report, cancelled, _run_one)
    return _run_one(request, report, cancelled)


def _run_one(request: Request, report: Callable[[Event], None], cancelled: Callable[[], bool]) -> Result:
    started = datetime.now(timezone.utc)
    progress = Progress(report, cancelled)
    random.seed(request.seed)
    torch.manual_seed(request.seed)
    limit_threads(request.threads)
    with staging(request.output, request.overwrite) as folder, torch.inference_mode():
        device = choose_device(request.device, progress)
        with progress.step("prepare", "reading the scans"):
            inputs, target_scan, atlas_scan = prepare(request, progress)
            model = _model(request, inputs, device, progress)
            earlier, corrections = read_earlier(request, inputs, progress)
        with progress.step("align", "searching the affine"):
            alignment = earlier.alignment if earlier else align_step(request, target_scan, atlas_scan, progress)
        with progress.step("register", f"deforming on the {describe(device)}"):
            proposal = None
            if model is not None:
                proposal = model.propose(inputs, alignment.matrix, model.use(request.refinement), progress)
            guidance = Guidance(proposal, inputs.landmarks, earlier, corrections)
            transform = register_step(
                request, target_scan, atlas_scan, inputs.labels, alignment, device, progress, guidance
            )
            del target_scan, atlas_scan  # two scans' worth of memory that the fields need now
            field = transform.forward(inputs.target.grid)
            field_inverse = transform.backward(inputs.atlas.grid)
            fit_inverse(field_inverse, inputs.atlas.grid, field, inputs.target.grid, inputs.body, device)
        with progress.step("fuse", "carrying the labels over"):
            propagated = propagate(inputs, field)
            votes = proposal is not None and proposal.use.fused and request.model_votes
            if proposal is not None and votes:
                propagated = fuse(inputs, field, propagated, proposal)
            if corrections is not None:
                propagated = corrections.kept(propagated)
        with progress.step("check", "checking the result"):
            checked = check(inputs, transform, field, field_inverse, propagated, progress)
        with progress.step("write", "writing the result"):
            write_images(folder, inputs, transform, field, field_inverse, propagated, checked, progress)
        table = QualityTable(checked.measures, checked.labels, tuple(progress.costs), tuple(progress.cautions))
        proposed = {} if proposal is None else {**proposal.facts, "fused": votes}
        more = {**inputs.digests, **proposed}
        facts = manifest(request, transform, alignment.start, describe(device), started, more)
        write_tables(folder, table, json.dumps(facts, indent=2))
        progress.done(1.0, "the result is complete")
    return Result.open(request.output)


def _model(request: Request, inputs: Inputs, device: torch.device, progress: Progress) -> TrainedModel | None:
    """The trained model that the request names, or None for the optimisation alone."""
    if request.method == OPTIMISATION:
        return None
    from .trained import load_model  # needs safetensors, which the optimisation does without

    return load_model(request, inputs.labels, device, progress)
