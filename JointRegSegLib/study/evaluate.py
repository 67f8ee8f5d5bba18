"""How good a trained model is on a data set: the command `evaluate --model`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import metrics
from ..job import Atlas, Code, Device, Event, JobError, Kind, Quality, Refinement, Request
from ..job.filesystem import replace_file
from ..losses import squared_lncc
from ..pipeline.check import determinants
from ..pipeline.devices import choose_device, limit_threads
from ..pipeline.fuse import fuse
from ..pipeline.guidance import Guidance
from ..pipeline.prepare import Inputs, prepare
from ..pipeline.progress import Progress
from ..pipeline.propagate import propagate
from ..pipeline.proposal import Proposal, Use
from ..pipeline.trained import TrainedModel
from ..pipeline.transform import align_step, register_step
from ..registration import Alignment, Scan
from ..service.eta import Eta
from ..training.card import load_card
from ..training.frame import scaled
from ..training.subjects import Split, Subject, data_invalid, read_subjects
from ..volumes import LabelMap, canonical, read_label_map, resample_labels_to
from .peak import PeakMemory

RECORDS, STUDY = "records.jsonl", "study.json"


class Arm(str, Enum):
    """What is measured: the method's field as it is or refined, or the optimisation without the method."""

    METHOD = "none"
    IMAGES = "images"
    JOINT = "joint"
    OPTIMISATION = "optimisation"


@dataclass(frozen=True)
class Study:
    """What to measure, on what, and where the tables go.

    Attributes:
        model: the model package.
        data: a folder or a CSV, as `training.subjects.read_subjects` reads it.
        output: the folder of records and tables.
        split: whose labelled scans are the targets.
        atlases: how many labelled training scans are atlases, the first by id; as many as trained the model where None.
        arms: what to measure.
        quality, start, device, threads: as of a request.
        timed: whether seconds are wanted: the first pair's first arm is done once before, as a first call takes longer.
    """

    model: Path
    data: Path
    output: Path
    split: Split = Split.TEST
    atlases: int | None = None
    arms: tuple[Arm, ...] = tuple(Arm)
    quality: Quality = Quality.NORMAL
    start: str = "auto"
    device: Device = Device.AUTO
    threads: int | None = None
    timed: bool = True


@dataclass(frozen=True)
class Record:
    """The figures of one arm on one pair.

    Attributes:
        atlas, target: ids.
        arm: what was measured.
        dice, hd95: source of labels -> structure -> 0 to 1, or mm (NaN where either side lacks it). Sources are
            "registration", the atlas's labels carried over; "segmentation", the network's own; "fused", both pooled.
        figures: of the deformation inside the target's body, the affine's share taken out: "folding" and "negative" (%
            of determinants of 0 or less, and of less than 0), "std(Jac)", "SDlogJ", "TC" (volume of carried labels by
            the atlas's); of target and warped atlas "NCC", the correlation inside the body, and "lncc2_w9", the mean
            squared correlation of windows of 9 voxels over the whole scan, where flat windows count 0; of all but
            reading and the affine, which all arms share, "seconds", after a warm-up, and "peak MB", the most memory,
            where `PeakMemory` can tell. Earlier versions wrote fewer.
    """

    atlas: str
    target: str
    arm: str
    dice: dict[str, dict[str, float]] = field(default_factory=dict)
    hd95: dict[str, dict[str, float]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """The record as one line; NaN is null."""
        return json.dumps(_plain(asdict(self)))

    @classmethod
    def from_json(cls, line: str) -> Record:
        """The record in a line of `to_json`; `ValueError` or `TypeError` where it is none, a cut one say."""
        return cls(**json.loads(line, object_pairs_hook=_with_nan))


def evaluate(
    asked: Study, report: Callable[[Event], None], cancelled: Callable[[], bool] = lambda: False
) -> list[Record]:
    """Register every atlas to every target by each arm, measure, and write a line of JSON for each.

    Where `output` holds the records of the same study, those are kept and the others added.

    Raises `JobError`: OUTPUT_EXISTS for the records of another study, DATA_INVALID without atlases or targets,
    CANCELLED, and what reading, the model and the pipeline raise.
    """
    card = load_card(asked.model)
    atlases, targets = _pairs(asked, int(card.training.get("labelled", 1)))
    records = _begun(asked, card.digest, atlases, targets)
    progress = Progress(report, cancelled)
    limit_threads(asked.threads)
    device = choose_device(asked.device, progress)
    model = TrainedModel.load(asked.model, card.method, device)
    if model.merges:
        progress.log(f"{model.merging} Labels are compared as it has them.")
    arms = tuple(arm for arm in asked.arms if arm is not Arm.JOINT or model.segments)
    pairs = [(atlas, target) for atlas in atlases for target in targets]
    measured = {(record.atlas, record.target, record.arm) for record in records}
    eta, cold = Eta(), asked.timed
    with (asked.output / RECORDS).open("a", encoding="utf-8") as file, torch.inference_mode():
        for number, (atlas, target) in enumerate(pairs):
            missing = tuple(arm for arm in arms if (atlas.id, target.id, arm.value) not in measured)
            if not missing:
                continue
            fraction = number / len(pairs)
            words = f"pair {number + 1} of {len(pairs)}"
            report(Event(Kind.PROGRESS, words, "evaluate", fraction, eta.update(fraction)))
            for record in _pair(asked, model, missing, atlas, target, device, cold, cancelled):
                file.write(record.to_json() + "\n")
                file.flush()
                records.append(record)
            cold = cold and missing == (Arm.OPTIMISATION,)  # which leaves the model as cold as it was
    report(Event(Kind.PROGRESS, f"{len(pairs)} pairs", "evaluate", 1.0, 0.0))
    return records


def _pairs(asked: Study, labelled: int) -> tuple[list[Subject], list[Subject]]:
    """The atlases and the targets, each with labels."""
    known = [subject for subject in read_subjects(asked.data) if subject.label is not None]
    targets = [subject for subject in known if subject.split is asked.split]
    wanted = labelled if asked.atlases is None else max(asked.atlases, 0)
    atlases = [subject for subject in known if subject.split is Split.TRAIN][:wanted]
    if not targets:
        raise data_invalid(
            asked.data, f"no scan of the split {asked.split.value} has labels", "Name another split, val for instance."
        )
    if asked.split is Split.TRAIN:
        targets = [subject for subject in targets if subject not in atlases]
    if wanted == 0:
        raise data_invalid(
            asked.data,
            f"{asked.atlases} atlases make no pair"
            if asked.atlases is not None
            else "the model was trained without labels, which leaves open how many scans are to be atlases",
            "Give --atlases with a number of 1 or more.",
        )
    if not atlases or not targets:
        raise data_invalid(asked.data, "it gives no pair of an atlas and a target", "Label more training scans.")
    return atlases, targets


def _begun(asked: Study, digest: str, atlases: list[Subject], targets: list[Subject]) -> list[Record]:
    """The records that the output folder holds of this very study; the folder is made where it is missing."""
    output = asked.output
    how = {"model": digest, "quality": asked.quality.value, "start": Path(asked.start).name}
    what = {"arms": asked.arms, "atlases": [s.id for s in atlases], "targets": [s.id for s in targets]}
    study = json.dumps(how | what)
    try:
        if (output / RECORDS).exists():
            if not (output / STUDY).exists() or (output / STUDY).read_text(encoding="utf-8") != study:
                raise JobError(
                    Code.OUTPUT_EXISTS,
                    f"The output folder {output} already holds another evaluation.",
                    "Name another folder, or go on with that one by its own model and settings.",
                )
            return _kept(output / RECORDS)
        output.mkdir(parents=True, exist_ok=True)
        (output / STUDY).write_text(study, encoding="utf-8")
        return []
    except OSError as problem:
        raise JobError(
            Code.OUTPUT_UNWRITABLE,
            f"The output folder {output} cannot be written: {problem.strerror or problem}.",
            "Name another folder.",
        ) from problem


def _kept(path: Path) -> list[Record]:
    """The whole records in a file, from which a line that was cut short is taken out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(Record.from_json(line))
        except (ValueError, TypeError):
            break
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(f"{record.to_json()}\n" for record in records), encoding="utf-8")
    replace_file(partial, path)
    return records


def _pair(
    asked: Study,
    model: TrainedModel,
    arms: tuple[Arm, ...],
    atlas: Subject,
    target: Subject,
    device: torch.device,
    cold: bool,
    cancelled: Callable[[], bool],
) -> Iterator[Record]:
    """A record of each arm; where `cold`, what is timed is done once before."""
    assert atlas.label is not None
    assert target.label is not None
    request = Request(
        (Atlas(atlas.image, atlas.label),),
        target.image,
        asked.output,
        quality=asked.quality,
        start=asked.start,
        device=asked.device,
    )
    quiet = Progress(lambda event: None, cancelled)
    with quiet.step("prepare", ""):
        inputs, target_scan, atlas_scan = prepare(request, quiet)
        model.require_same_structures(inputs.labels)
        inputs = replace(inputs, labels=model.merged(inputs.labels))
        truth = model.merged(canonical(read_label_map(target.label)))
        if not truth.grid.same_as(inputs.target.grid):
            truth = resample_labels_to(truth, inputs.target.grid)
    with quiet.step("align", ""):
        alignment = align_step(request, target_scan, atlas_scan, quiet)

    def proposed() -> Proposal | None:
        if arms == (Arm.OPTIMISATION,):
            return None
        with quiet.step("register", ""):
            return model.propose(inputs, alignment.matrix, _measured(Arm.METHOD, model), quiet)

    def deformed(arm: Arm, proposal: Proposal | None) -> _Deformed:
        own = None
        if proposal is not None and arm is not Arm.OPTIMISATION:
            own = replace(proposal, use=_measured(arm, model))
        return _deformed(request, inputs, target_scan, atlas_scan, alignment, own, device, quiet)

    if cold:
        deformed(arms[0], proposed())
    memory = PeakMemory(device)
    memory.begin()
    begun = time.perf_counter()
    proposal = proposed()
    proposing = _Cost(time.perf_counter() - begun, memory.megabytes())
    names = {label.value: label.name for label in model.structures}
    for arm in arms:
        memory.begin()
        found = deformed(arm, proposal)
        cost = _Cost(found.seconds, memory.megabytes())
        if found.proposed:
            cost = _Cost(cost.seconds + proposing.seconds, max(cost.megabytes, proposing.megabytes))
        yield _record(atlas.id, target.id, arm, found, inputs, alignment, truth, names, cost)


def _measured(arm: Arm, model: TrainedModel) -> Use:
    """An arm of the method: all that the model says is asked for, however good it is."""
    return Use(Refinement(arm.value), model.segments, "measured")


@dataclass(frozen=True)
class _Cost:
    """What an arm took: seconds, and at most so many MB of memory at a time, NaN where that is not known."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class _Deformed:
    """What one arm gave: label maps by source (k, j, i), the warped atlas, the field (LPS mm), and its seconds."""

    labels: dict[str, NDArray[Any]]
    warped: NDArray[np.float32]
    field: NDArray[np.float32]
    seconds: float
    proposed: bool


def _deformed(
    request: Request,
    inputs: Inputs,
    target_scan: Scan,
    atlas_scan: Scan,
    alignment: Alignment,
    proposal: Proposal | None,
    device: torch.device,
    quiet: Progress,
) -> _Deformed:
    begun = time.perf_counter()
    with quiet.step("register", ""):
        transform = register_step(
            request, target_scan, atlas_scan, inputs.labels, alignment, device, quiet, Guidance(proposal)
        )
        found = transform.forward(inputs.target.grid)
    propagated = propagate(inputs, found)
    labels = {"registration": propagated.labels.array}
    if proposal is not None and proposal.probabilities is not None:
        labels["fused"] = fuse(inputs, found, propagated, proposal).labels.array
    seconds = time.perf_counter() - begun
    if proposal is not None and proposal.probabilities is not None:
        labels["segmentation"] = proposal.segmentation_on(inputs.target.grid)
    return _Deformed(labels, propagated.warped, found, seconds, proposal is not None)


def _record(
    atlas: str,
    target: str,
    arm: Arm,
    found: _Deformed,
    inputs: Inputs,
    alignment: Alignment,
    truth: LabelMap,
    names: dict[int, str],
    cost: _Cost,
) -> Record:
    spacing = tuple(reversed(truth.grid.spacing))
    dice, hd95 = {}, {}
    for source, labels in found.labels.items():
        overlaps = metrics.dice(labels, truth.array)
        dice[source] = {names.get(v, f"label {v}"): overlap for v, overlap in overlaps.items()}
        distances = metrics.hd95_each(labels, truth.array, spacing)
        hd95[source] = {names.get(v, f"label {v}"): distances[v] for v in overlaps}
    affine = float(np.linalg.det(alignment.matrix[:3, :3]))
    folds = metrics.statistics(determinants(found.field, inputs.target.grid) / np.float32(affine), inputs.body)
    voxels = affine * inputs.target.grid.voxel_ml / inputs.atlas.grid.voxel_ml
    figures = {
        "folding": folds.folding_percent,
        "negative": folds.negative_percent,
        "std(Jac)": folds.std,
        "SDlogJ": folds.sd_log,
        "TC": voxels * metrics.topology_change(found.labels["registration"], inputs.labels.array),
        "NCC": metrics.ncc(inputs.target.array, found.warped, inputs.body),
        "lncc2_w9": _lncc2(inputs.target.array, found.warped),
        "seconds": cost.seconds,
    }
    if np.isfinite(cost.megabytes):
        figures["peak MB"] = cost.megabytes
    return Record(atlas, target, arm.value, dice, hd95, figures)


def _lncc2(target: NDArray[Any], warped: NDArray[Any]) -> float:
    """Mean squared correlation of windows of 9 voxels of two scans on the scale of 0 to 1; NaN where one is flat."""
    if any(scan.min() == scan.max() for scan in (target, warped)):
        return float("nan")
    a, b = (torch.from_numpy(scaled(scan, "minmax"))[None, None] for scan in (target, warped))
    return float(squared_lncc(a, b, 9))


def _with_nan(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key: float("nan") if value is None else value for key, value in pairs}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
