"""From a folder of scans to a model package: the command `train`."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import torch

from .. import methods
from ..job import Code, Device, Event, JobError, Kind
from ..job.filesystem import replace_file
from ..job.request import LARGEST_SEED
from ..networks import JointModel, placed
from ..pipeline.devices import choose_device, describe, limit_threads
from ..pipeline.progress import Progress
from ..service.eta import Eta
from ..training import package
from ..training.curves import draw, write_tensorboard
from ..training.dataset import Dataset, load_dataset
from ..training.distributed import team
from ..training.few_shot import FewShotView
from ..training.label_maps import load_label_maps
from ..training.phases import training_only
from ..training.subjects import Split, Subject, read_label_maps, read_subjects, why_none_validates
from ..training.trainer import CHECKPOINT, CURVES, Outcome, Trainer
from ..training.validation import validation_scores
from ..volumes import read_label_table
from .yardstick import run_scores

MODEL = "model.safetensors"
SETTINGS = "settings.json"
PICTURE = "curves.png"
TENSORBOARD = "tensorboard"

_TOLD_EVERY = 0.5
_NOT_VALIDATED = "The model keeps the weights of its last step, and nothing tells how good they are."


@dataclass(frozen=True)
class Training:
    """What to train, on what, and where the files go.

    Attributes:
        method: one of `methods.METHODS`.
        data: a folder or a CSV, as `training.subjects.read_subjects` reads it, or `read_label_maps`
            where the method is one of `methods.WITHOUT_SCANS`.
        output: the folder of the model and everything beside it.
        labelled: how many training scans keep their labels; the preset's where None, and all that have some where
            that says nothing.
        preset: the name of a preset of the method, or a TOML file.
        device: where to compute.
        max_minutes: the budget of this call; None for no limit.
        resume: go on with the run that `output` holds.
        seed: of everything random; the preset's where None.
        table: names and colours of the labels, or None.
        licence: under which terms the training data allow what.
        threads: CPU threads, or None for the library's default.
    """

    method: str
    data: Path
    output: Path
    labelled: int | None = None
    preset: str = methods.PRESET
    device: Device = Device.AUTO
    max_minutes: float | None = None
    resume: bool = False
    seed: int | None = None
    table: Path | None = None
    licence: str = ""
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.seed is not None and not 0 <= self.seed <= LARGEST_SEED:
            raise JobError(Code.REQUEST_INVALID, f"The seed is {self.seed}.", "Give a number from 0 to 2**63 - 1.")
        if self.max_minutes is not None and not 0 <= self.max_minutes < math.inf:
            raise JobError(Code.REQUEST_INVALID, f"max_minutes is {self.max_minutes}.", "Give a number of 0 or more.")


@dataclass(frozen=True)
class Trained:
    """The model package, how its training ended, and its validation Dice by name."""

    model: Path
    outcome: Outcome
    scores: dict[str, float]


def train(asked: Training, report: Callable[[Event], None], stop: Callable[[], bool]) -> Trained:
    """Train until the method's procedure ends, the time is up or `stop` says so; then write the model package.

    Beside the package lie the checkpoint that `resume` goes on with, the best weights, the curves as JSON lines and,
    where the libraries are installed, as a picture and as TensorBoard's logs. Under torchrun all processes train
    together.

    Raises `JobError`: OUTPUT_EXISTS where `output` holds a run that is not to be resumed, REQUEST_INVALID where it is
    to be resumed with other settings, CANCELLED where `stop` says so before training begins, and what reading the
    data, the method and the trainer raise.
    """
    subjects = (read_label_maps if asked.method in methods.WITHOUT_SCANS else read_subjects)(asked.data)
    settings = _settings(asked, subjects)
    _check_output(asked, settings)
    progress = Progress(report, stop)
    limit_threads(asked.threads)
    with team(choose_device(asked.device, progress)) as (members, device):
        teller = _Teller(report if members.leads else lambda event: None)
        dataset = _dataset(asked, settings, subjects, teller, stop)
        if members.leads:
            _keep_settings(asked.output, settings)
        torch.manual_seed(settings.trainer.seed)
        model = placed(methods.build(asked.method, settings, dataset.structures.classes), device)
        procedure = methods.strategy(asked.method, settings, model, dataset)
        teller.log(
            f"Training {asked.method} on the {describe(device)}: {len(dataset.labelled)} labelled and "
            f"{len(dataset.unlabelled)} unlabelled scans, {len(dataset.validation)} to validate, "
            f"{dataset.structures.classes - 1} structures, grid {'x'.join(map(str, dataset.frame.size))}."
        )
        if reason := why_none_validates(subjects):
            teller.caution("no-validation", f"{reason} {_NOT_VALIDATED}")
        trainer = Trainer(
            model,
            procedure,
            dataset,
            settings.trainer,
            asked.output,
            score=lambda trained: validation_scores(trained, dataset, device),
            device=device,
            team=members,
            report=teller.training,
        )
        outcome = trainer.run(asked.max_minutes, stop)
        if members.leads:
            scores = _final_scores(model, dataset, device)
            model.strip_training_branches()

            def keep(scores: dict[str, float]) -> None:
                card = package.describe(asked.method, settings, dataset, outcome, scores, asked.licence)
                package.save_package(asked.output / MODEL, model.state_dict(), card)

            keep(scores)
            if "segmentation" in scores and dataset.labelled and not stop():
                scores |= _as_runs(asked, teller, stop)
                keep(scores)
            _draw_curves(asked.output, teller)
            return Trained(asked.output / MODEL, outcome, scores)
        return Trained(asked.output / MODEL, outcome, {})


def _settings(asked: Training, subjects: tuple[Subject, ...]) -> Any:
    """The preset with what was asked for in its place."""
    known = methods.presets(asked.method)
    path = known.get(asked.preset) or Path(asked.preset)
    if path.suffix != ".toml":
        raise JobError(
            Code.REQUEST_INVALID,
            f"{asked.method} has no preset {asked.preset}.",
            f"Choose one of {', '.join(known)}, or give a .toml file.",
        )
    settings = cast(Any, methods.read_settings(asked.method, path))
    labelled = settings.data.labelled if asked.labelled is None else asked.labelled
    if labelled is None:
        labelled = sum(subject.split is Split.TRAIN and subject.label is not None for subject in subjects)
    seed = settings.trainer.seed if asked.seed is None else asked.seed
    return replace(
        settings, data=replace(settings.data, labelled=labelled), trainer=replace(settings.trainer, seed=seed)
    )


def _check_output(asked: Training, settings: Any) -> None:
    if not asked.resume and any((asked.output / name).exists() for name in (CHECKPOINT, MODEL)):
        raise JobError(
            Code.OUTPUT_EXISTS,
            f"The output folder {asked.output} already holds a training run.",
            "Go on with it by --resume, or name another folder.",
        )
    if (asked.output / CHECKPOINT).exists() and (changed := changed_settings(asked.output / SETTINGS, settings)):
        raise JobError(
            Code.REQUEST_INVALID,
            f"The training run in {asked.output} was begun with other settings: {', '.join(changed)}.",
            "Resume with the method, --preset, --labelled and --seed that it was begun with, or name another folder.",
        )
    try:
        asked.output.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise JobError(
            Code.OUTPUT_UNWRITABLE,
            f"The output folder {asked.output} cannot be written: {problem.strerror or problem}.",
            "Name another folder.",
        ) from problem


def _keep_settings(output: Path, settings: Any) -> None:
    """Write down what a run is begun with; whoever resumes it must not mix two."""
    partial = output / f".{SETTINGS}.partial"
    partial.write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
    replace_file(partial, output / SETTINGS)


def changed_settings(kept: Path, settings: Any) -> list[str]:
    """The settings that are not those in a file; none where there is no file.

    A setting that the version before did not know had, in effect, its default.
    """
    if not kept.exists():
        return []
    before, now = json.loads(kept.read_text(encoding="utf-8")), json.loads(json.dumps(asdict(settings)))
    changed = []
    for section, values in before.items():
        known = fields(getattr(settings, section)) if section in now else ()
        earlier = {field.name: field.default for field in known if field.default is not MISSING} | values
        own = now.get(section, {})
        changed += [f"{section}.{key} was {value}" for key, value in earlier.items() if own.get(key) != value]
    return changed


def _dataset(
    asked: Training, settings: Any, subjects: tuple[Subject, ...], teller: _Teller, stop: Callable[[], bool]
) -> Dataset:
    def reading(fraction: float, message: str) -> None:
        if stop():
            raise JobError(Code.CANCELLED, "The run was cancelled.")
        teller.reading(message)

    table = None if asked.table is None else read_label_table(asked.table)
    view = FewShotView(subjects, settings.data.labelled)
    if asked.method in methods.WITHOUT_SCANS:
        return load_label_maps(view, settings.data, settings.synthesis, table, reading)
    # How intensities are scaled is known to a model of any number of classes.
    intensity = methods.build(asked.method, settings, 2).input_spec.intensity
    return load_dataset(view, settings.data, intensity, table, reading)


def _final_scores(model: JointModel, dataset: Dataset, device: torch.device) -> dict[str, float]:
    """The validation scores of the weights that the package will hold."""
    if not dataset.validation:
        return {}
    with training_only(model), torch.no_grad():
        return validation_scores(model, dataset, device)


def _as_runs(asked: Training, teller: _Teller, stop: Callable[[], bool]) -> dict[str, float]:
    """What runs without and with the model score on the validation scans; nothing where they cannot be registered, or
    it is stopped.
    """
    teller.log("The validation scans are registered without and with the model, which tells whether runs gain by it.")
    try:
        return run_scores(asked.output / MODEL, asked.data, asked.device, asked.threads, stop)
    except JobError as problem:
        teller.log(f"That was not possible: {problem}")
        return {}


def _draw_curves(folder: Path, teller: _Teller) -> None:
    """The curves as a picture and as TensorBoard's logs; says which library is missing."""
    shutil.rmtree(folder / TENSORBOARD, ignore_errors=True)  # it holds the curves of the call before
    for make, target in ((draw, folder / PICTURE), (write_tensorboard, folder / TENSORBOARD)):
        try:
            make(folder / CURVES, target)
        except JobError as missing:
            teller.log(f"No {target.name} was made: {missing}")


class _Teller:
    """Turns what training says into events, with the time that is left and not too often."""

    def __init__(self, report: Callable[[Event], None]) -> None:
        self._report = report
        self._eta: Eta | None = None
        self._told = float("-inf")

    def log(self, message: str) -> None:
        self._report(Event(Kind.LOG, message))

    def caution(self, code: str, message: str) -> None:
        self._report(Event(Kind.CAUTION, message, code=code))

    def reading(self, message: str) -> None:
        self._report(Event(Kind.PROGRESS, message, "read", 0.0))

    def training(self, fraction: float, message: str) -> None:
        self._eta = self._eta or Eta()  # begins with the first step, not while scans are read
        left = self._eta.update(fraction)
        if fraction >= 1.0 or time.monotonic() >= self._told + _TOLD_EVERY:
            self._told = time.monotonic()
            self._report(Event(Kind.PROGRESS, message, "train", fraction, left))
