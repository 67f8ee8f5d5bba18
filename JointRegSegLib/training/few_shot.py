"""What training may see of a data set: the labels of a few subjects, and nothing of the others' labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..job import Code, JobError
from .subjects import Split, Subject


class FewShotView:
    """A data set of which the first subjects by id are labelled and the other training subjects are not.

    Training code gets this and nothing else: no path or array of a hidden label can be reached from it, and no test
    subject.

    Attributes:
        labelled: the first training subjects by id that have labels, with them.
        unlabelled: the other training subjects, their labels removed.
        validation: subjects that only measure; with labels.
    """

    def __init__(self, subjects: Iterable[Subject], labelled: int) -> None:
        """Hide all but `labelled` training labels; `JobError` DATA_INVALID where there are fewer."""
        ordered = sorted(subjects, key=lambda subject: subject.id)
        training = [subject for subject in ordered if subject.split is Split.TRAIN]
        known = [subject for subject in training if subject.label is not None]
        if not 0 <= labelled <= len(known):
            raise JobError(
                Code.DATA_INVALID,
                f"{labelled} labelled training scans were asked for, there are {len(known)}.",
                "Label more scans, or ask for fewer.",
            )
        self.labelled: tuple[Subject, ...] = tuple(known[:labelled])
        self.unlabelled: tuple[Subject, ...] = tuple(replace(s, label=None) for s in training if s not in self.labelled)
        self.validation: tuple[Subject, ...] = tuple(
            subject for subject in ordered if subject.split is Split.VALIDATE and subject.label is not None
        )
