"""What the tests of the methods with one encoder for both tasks share: a small data set, and how to measure it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import nn

from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.few_shot import FewShotView
from JointRegSegLib.training.frame import Frame
from JointRegSegLib.training.structures import Structures
from JointRegSegLib.training.subjects import Split, Subject
from Testing.engine.method_cases import subject

SMALL = (16, 24, 16)


def small_subject(number: int, known: bool = True) -> Sample:
    """The middle of a made-up subject, with or without its labels."""
    whole = subject(number)
    part = (..., slice(4, 20), slice(4, 28), slice(4, 20))
    label = whole.label[part].contiguous() if known and whole.label is not None else None
    return Sample(whole.id, whole.image[part].contiguous(), label)


def small_dataset(labelled: int = 1, subjects: int = 4) -> Dataset:
    """A data set that was never on a disk; the last subject validates."""
    everyone = [Subject(f"s{number}", Path(str(number)), Path(str(number))) for number in range(subjects)]
    everyone[-1] = dataclasses.replace(everyone[-1], split=Split.VALIDATE)
    view = FewShotView(everyone, labelled)
    hidden = {s.id for s in view.unlabelled}
    samples = {f"s{number}": small_subject(number, f"s{number}" not in hidden) for number in range(subjects)}
    return Dataset(samples, view, Structures.of([1, 2]), Frame(SMALL[::-1], (1.0, 1.0, 1.0), "minmax"))


def size(module: nn.Module) -> int:
    """Parameters of a network."""
    return sum(p.numel() for p in module.parameters())
