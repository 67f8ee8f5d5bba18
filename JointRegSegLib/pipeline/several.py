"""A run with several atlases: each is registered by itself, then their labels are fused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ..fields import Box
from ..fusion import Consensus, Stack, combine, confidence_of_labels, for_review
from ..job import Caution, Code, Event, JobError, Measure, QualityTable, Request, Result, Status, StepCost, result
from ..job.folders import staging
from ..job.request import OPTIMISATION
from ..volumes import (
    LabelMap,
    Volume,
    find_foreground,
    read_label_map,
    read_volume,
    scaled_intensities,
    widened,
    write_label_map,
    write_segmentation,
    write_volume,
)
from .check import label_volumes
from .choosing import STARTS, chosen
from .devices import choose_device, limit_threads
from .model_vote import model_vote
from .progress import Progress
from .side_by_side import RunOne, results_of, shared
from .write import write_tables

_MARGIN = (12, 12, 12)
"""Voxels around all labels that weights and votes look at."""
_REVIEW_GOOD, _REVIEW_LOOK = 5.0, 20.0
"""Percent of the labelled voxels."""
_BY_ATLAS = (result.SEGMENTATION, result.JACOBIAN, result.FIELD, result.FIELD_INVERSE)
_OF_THE_MOST_ALIKE = (*_BY_ATLAS[1:], result.AFFINE, result.WARPED_ATLAS)
_STEPS = {"align": 0.1, "register": 0.8, "fuse": 0.05, "write": 0.05}


@dataclass(frozen=True)
class _Carried:
    """One atlas that was registered: its number in the request, and its result."""

    number: int
    name: str
    result: Result
    quality: QualityTable


def run_several(
    request: Request, report: Callable[[Event], None], cancelled: Callable[[], bool], run_one: RunOne
) -> Result:
    """Register several atlases to the target and fuse their labels.

    The result is as of one atlas: fields, affine, warped atlas and Jacobian are those of the atlas whose labels are
    most like the fused ones. `atlases/NN` keeps of each atlas its labels, its warped image, affine and tables.

    Args:
        request: with several atlases.
        report, cancelled: as of `run`.
        run_one: registers one atlas.

    Raises:
        JobError: as of `run`, where no atlas can be registered.
    """
    started = datetime.now(timezone.utc)
    progress = Progress(report, cancelled, _STEPS)
    limit_threads(request.threads)
    with staging(request.output, request.overwrite) as folder, torch.inference_mode():
        target = read_volume(request.target)
        with progress.step("align", "comparing the atlases"):
            asked = chosen(_requests(request, folder), request.most_atlases, folder, progress)
        with progress.step("register", f"registering {len(asked)} atlases"):
            these = replace(request, atlases=tuple(one.atlases[0] for one in asked))
            how = shared(these, _on_cpu(request, progress), target.array.size)
            found = results_of(asked, how, run_one, progress, cancelled)
            carried = _carried(asked, found, progress)
        with progress.step("fuse", "fusing the labels"):
            labels, fused, weight = _fused(request, target, carried, progress)
            best = max(carried, key=lambda one: _agreement(one, labels))
        with progress.step("write", "writing the result"):
            _write_images(folder, labels, fused, best)
            table = _table(labels, fused, carried, best, progress)
            facts = _manifest(request, carried, best, weight, started)
            for one in carried:
                for name in _BY_ATLAS:
                    one.result.path(name).unlink(missing_ok=True)
            write_tables(folder, table, json.dumps(facts, indent=2))
        progress.done(1.0, "the result is complete")
    return Result.open(request.output)


def _on_cpu(request: Request, progress: Progress) -> bool:
    return choose_device(request.device, progress).type == "cpu"


def _requests(request: Request, folder: Path) -> list[Request]:
    """A request for each atlas, with a folder and a name of its own."""
    found = []
    for number, atlas in enumerate(request.atlases, 1):
        named = replace(atlas, name=atlas.name or f"atlas {number}")
        output = folder / result.ATLASES / f"{number:02d}"
        found.append(
            replace(request, atlases=(named,), output=output, most_atlases=None, overwrite=False, model_votes=False)
        )
    return found


def _carried(requests: Sequence[Request], found: Sequence[Result | JobError], progress: Progress) -> list[_Carried]:
    carried, errors = [], []
    for request, one in zip(requests, found, strict=True):
        name = request.atlases[0].name
        if isinstance(one, JobError):
            errors.append(one)
            progress.caution("atlas-left-out", f"{name} was left out: {one.message}")
        else:
            carried.append(_Carried(int(request.output.name), name, one, one.quality))
    if not carried:
        code, advice = (errors[0].code, errors[0].advice) if errors else (Code.REQUEST_INVALID, "")
        words = errors[0].message if errors else "none could be aligned."
        raise JobError(code, f"No atlas could be used; the first: {words}", advice)
    return carried


def _fused(
    request: Request, target: Volume, carried: Sequence[_Carried], progress: Progress
) -> tuple[LabelMap, Consensus, float | None]:
    """The fused labels, the votes on the target's whole grid, and the weight of a model's vote."""
    maps = [read_label_map(one.result.path(result.SEGMENTATION)) for one in carried]
    images = (read_volume(one.result.path(result.WARPED_ATLAS)) for one in carried)
    stack, box = stacked(target, maps, images)
    table = maps[0].table
    for other in maps[1:]:
        table = table.completed(other.table.values())
    del maps
    registered = [(request.atlases[one.number - 1].image, one.result.path(result.FIELD)) for one in carried]
    device = choose_device(request.device, progress)
    opinion = model_vote(request, target, stack, box, registered, device, progress)
    found = combine(stack, request.fusion, opinion)
    labels, confidence = np.zeros(target.grid.shape, np.uint16), np.ones(target.grid.shape, np.float32)
    labels[box], confidence[box] = found.labels, found.confidence
    weight = None if opinion is None else opinion.weight
    return LabelMap(labels, target.grid, table), Consensus(labels, confidence), weight


def stacked(target: Volume, maps: Sequence[LabelMap], images: Iterable[Volume]) -> tuple[Stack, Box]:
    """What is fused: the part of the target's grid where any map has a label, with a margin, and which part that is.

    Args:
        maps, images: the atlases' labels and images on the target's grid.
    """
    box = _box(maps)
    spacing = (target.grid.spacing[2], target.grid.spacing[1], target.grid.spacing[0])
    cut = np.stack([_scaled(image)[box].astype(np.float16) for image in images])
    return Stack(_scaled(target)[box], cut, np.stack([one.array[box] for one in maps]).astype(np.uint16), spacing), box


def _box(maps: Sequence[LabelMap]) -> Box:
    """Where any map has a label, with a margin."""
    labelled = np.zeros(maps[0].array.shape, np.uint8)
    for one in maps:
        labelled |= one.array != 0
    return widened(ndimage.find_objects(labelled)[0], _MARGIN, maps[0].grid.shape)


def _scaled(volume: Volume) -> NDArray[np.float32]:
    return scaled_intensities(volume, find_foreground(volume))


def _agreement(one: _Carried, fused: LabelMap) -> float:
    """Share of the voxels with a label in either map that have the same in both."""
    own = read_label_map(one.result.path(result.LABELS)).array
    either = (own != 0) | (fused.array != 0)
    return float((own == fused.array)[either].mean())


def _write_images(folder: Path, labels: LabelMap, fused: Consensus, best: _Carried) -> None:
    write_label_map(folder / result.LABELS, labels)
    write_segmentation(folder / result.SEGMENTATION, labels)
    write_volume(folder / result.CONFIDENCE, fused.confidence.round(2), labels.grid)
    unsure = np.where(for_review(fused.confidence), fused.labels, 0).astype(np.uint16)
    write_label_map(folder / result.REVIEW, LabelMap(unsure, labels.grid, labels.table))
    for name in _OF_THE_MOST_ALIKE:
        shutil.copyfile(best.result.path(name), folder / name)
    for start in folder.glob(STARTS):
        start.unlink()


def _table(
    labels: LabelMap, fused: Consensus, carried: Sequence[_Carried], best: _Carried, progress: Progress
) -> QualityTable:
    """Measures of the most alike atlas and of the fusion, what all steps cost, and the cautions of all."""
    sure = confidence_of_labels(fused.labels, fused.confidence)
    inside = fused.labels > 0
    unsure = 100.0 * float(for_review(fused.confidence)[inside].mean()) if inside.any() else 100.0
    status = Status.GOOD if unsure <= _REVIEW_GOOD else Status.LOOK if unsure <= _REVIEW_LOOK else Status.BAD
    measures = (
        *best.quality.measures,
        Measure("atlases_fused", "atlases fused", float(len(carried))),
        Measure("confidence_mean", "confidence of the labels, mean", float(fused.confidence[inside].mean()), ""),
        Measure("review_percent", "labels to look at", unsure, "%", status),
    )
    volumes = tuple(
        replace(volume, confidence=sure[volume.value][0], review=sure[volume.value][1])
        if volume.value in sure
        else volume
        for volume in label_volumes(labels)
    )
    return QualityTable(measures, volumes, _costs(carried, progress), (*progress.cautions, *_cautions(carried)))


def _costs(carried: Sequence[_Carried], progress: Progress) -> tuple[StepCost, ...]:
    """What each step took for all atlases together, and the largest peak of one process."""
    names = list(dict.fromkeys(step.step for one in carried for step in one.quality.steps))
    costs = [step for one in carried for step in one.quality.steps]
    costs += [cost for cost in progress.costs if cost.step not in ("register",)]
    found = []
    for name in names:
        some = [cost for cost in costs if cost.step == name]
        seconds, cpu = sum(cost.seconds for cost in some), sum(cost.cpu_seconds for cost in some)
        found.append(StepCost(name, seconds, cpu, max(cost.peak_mb for cost in some)))
    return tuple(found)


def _cautions(carried: Sequence[_Carried]) -> list[Caution]:
    """Cautions of the single runs: what all say once, what some say with their names."""
    said: dict[Caution, list[str]] = {}
    for one in carried:
        for caution in one.quality.cautions:
            said.setdefault(caution, []).append(one.name)
    return [
        caution if len(names) == len(carried) else Caution(caution.code, f"{', '.join(names)}: {caution.message}")
        for caution, names in said.items()
    ]


def _manifest(
    request: Request, carried: Sequence[_Carried], best: _Carried, weight: float | None, started: datetime
) -> dict[str, object]:
    """As of the most alike atlas, with all atlases and how they were fused."""
    return {
        **best.result.manifest,
        "atlases": [one.name for one in carried],
        "fusion": request.fusion.value,
        **({} if request.method == OPTIMISATION else {"fused": weight is not None, "model_weight": weight}),
        "most_alike": best.name,
        "atlas_folders": {one.name: f"{result.ATLASES}/{one.number:02d}" for one in carried},
        "left_out": len(request.atlases) - len(carried),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
