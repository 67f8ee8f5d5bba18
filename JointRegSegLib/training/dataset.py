"""The visible part of a data set in memory, on one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.volumes import (
    LabelMap,
    LabelTable,
    Volume,
    canonical,
    present_values,
    read_label_map,
    read_volume,
)
from JointRegSegLib.volumes.labels import MAX_VALUE

from ..job import Code, JobError
from .few_shot import FewShotView
from .frame import Frame
from .ranges import Count, Positive, Whole
from .structures import Structures
from .subjects import Subject

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class DataConfig:
    """How scans are brought onto one grid.

    Attributes:
        labelled: how many training subjects keep their labels; all that have some where None.
        size: voxels of the training grid towards left, posterior, superior; what holds all scans where empty.
        spacing: mm along the same axes; the scans' median where empty.
        structures: name -> label values that make one class; each value its own class where empty.
    """

    labelled: Whole | None = None
    size: tuple[Count, ...] = ()
    spacing: tuple[Positive, ...] = ()
    structures: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, numbers in (("size", self.size), ("spacing", self.spacing)):
            if len(numbers) not in (0, 3):
                raise JobError(Code.REQUEST_INVALID, f"{name} is {list(numbers)}.", "Give three numbers above 0.")
        taken: set[int] = set()
        for name, values in self.structures.items():
            if not values or not all(1 <= value <= MAX_VALUE and value not in taken for value in values):
                raise JobError(
                    Code.REQUEST_INVALID,
                    f"The structure {name} has the values {list(values)}.",
                    f"Name label values from 1 to {MAX_VALUE}, each for one structure.",
                )
            taken.update(values)


@dataclass(frozen=True, eq=False)
class Sample:
    """A subject as a network sees it: image (1, 1, D, H, W) float32, label (1, 1, D, H, W) classes 0..K-1 or None."""

    id: str
    image: Tensor
    label: Tensor | None

    def to(self, device: torch.device) -> Sample:
        """The sample on a device."""
        return Sample(self.id, self.image.to(device), None if self.label is None else self.label.to(device))


class Dataset:
    """All visible subjects, read once.

    Attributes:
        labelled, unlabelled, validation: ids.
        structures: what the classes mean.
        frame: the grid and intensity scale of all samples.
    """

    def __init__(self, samples: Mapping[str, Sample], view: FewShotView, structures: Structures, frame: Frame) -> None:
        self._samples = dict(samples)
        self.labelled = tuple(subject.id for subject in view.labelled)
        self.unlabelled = tuple(subject.id for subject in view.unlabelled)
        self.validation = tuple(subject.id for subject in view.validation)
        self.structures = structures
        self.frame = frame

    def __getitem__(self, name: str) -> Sample:
        """The subject with this id; its label as int64."""
        sample = self._samples[name]
        return sample if sample.label is None else Sample(name, sample.image, sample.label.long())


def load_dataset(
    view: FewShotView,
    config: DataConfig,
    intensity: str,
    table: LabelTable | None = None,
    report: Report = lambda fraction, message: None,
) -> Dataset:
    """Read the subjects of a view onto one grid.

    Args:
        view: what training may see.
        config: the grid and the structures.
        intensity: "minmax" or "zscore", as the model wants it.
        table: names and colours of label values.
        report: told the fraction that is read, and a message.

    Raises `JobError`: what reading a scan or a label map raises; DATA_INVALID where labels miss their scan.
    """
    subjects = (*view.labelled, *view.unlabelled, *view.validation)
    volumes: dict[str, Volume] = {}
    for done, subject in enumerate(subjects):
        report(done / len(subjects), f"Reading scan {done + 1} of {len(subjects)}")
        volumes[subject.id] = canonical(read_volume(subject.image))
    grids = [volumes[subject.id].grid for subject in (*view.labelled, *view.unlabelled)]
    frame = Frame.of(grids, intensity, config.size, config.spacing)
    maps = {s.id: read_label_map(s.label) for s in subjects if s.label is not None}
    # A structure that no labelled scan shows cannot be learnt; validation alone must not make a class of it.
    teaching = view.labelled or view.validation
    present = {value for subject in teaching for value in present_values(maps[subject.id].array)}
    structures = Structures.of(present, config.structures, table)
    samples = {s.id: _sample(s, volumes.pop(s.id), maps.get(s.id), structures, frame) for s in subjects}
    return Dataset(samples, view, structures, frame)


def _sample(subject: Subject, volume: Volume, labels: LabelMap | None, structures: Structures, frame: Frame) -> Sample:
    image, grid = frame.image(volume)
    if labels is None:
        return Sample(subject.id, image, None)
    classes: NDArray[Any] = structures.to_classes(frame.labels(labels, grid))
    if not classes.any():
        raise JobError(
            Code.DATA_INVALID,
            f"No structure of the label map {subject.label} lies in its scan on the training grid.",
            "Check that both belong together, and the size, the spacing and the structures asked for.",
        )
    return Sample(subject.id, image, torch.from_numpy(np.ascontiguousarray(classes))[None, None])
