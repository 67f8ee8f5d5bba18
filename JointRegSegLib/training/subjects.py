"""The scans of a training set: which there are, which are labelled, and what each is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path

from ..job import Code, JobError
from ..job.csv_table import cells_of, read_table

ENDINGS = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_NAMED = 5
VALIDATING = 2
"""Without a column `split`, so many of the last subjects by id validate."""

_LABELS = "_labels"


class Split(str, Enum):
    """What a subject is for."""

    TRAIN = "train"
    VALIDATE = "val"
    TEST = "test"


@dataclass(frozen=True)
class Subject:
    """One scan of a training set.

    Attributes:
        id: unique in the set; orders it.
        image: the scan's file, or the label map's where there is no scan to read.
        label: its label map, or None where nobody labelled it or the labels are hidden.
        split: what the scan is for.
    """

    id: str
    image: Path
    label: Path | None
    split: Split = Split.TRAIN


def read_subjects(source: Path) -> tuple[Subject, ...]:
    """The subjects of a CSV or a folder, sorted by id.

    A CSV has the columns `image`, `label` (may be empty) and `split` (train, val or test; may be absent), with paths
    relative to its folder. In a folder `X_labels` lies beside `X` or `X_<anything>`; other images are unlabelled.
    Where no split is given the last two subjects by id validate and the others train.

    Raises `JobError`: FILE_MISSING; DATA_INVALID with the line or the file that cannot be used.
    """
    found = all_subjects(source)
    if len(found) <= VALIDATING:
        raise data_invalid(source, f"it has {len(found)} scans", f"Give at least {VALIDATING + 1}.")
    return found


def all_subjects(source: Path) -> tuple[Subject, ...]:
    """As `read_subjects`, however few there are."""
    source = Path(source)
    if not source.exists():
        raise JobError(Code.FILE_MISSING, f"There is no {source}.", "Check the path.")
    return _from_folder(source) if source.is_dir() else _from_csv(source)


def read_label_maps(source: Path) -> tuple[Subject, ...]:
    """The label maps of a CSV or a folder as subjects whose image nobody reads, sorted by id.

    In a folder these are the files `X_labels`, or all of its images where none is called so. A CSV is as for
    `read_subjects`; where there is no scan, its column `image` names the label map too. What has no labels is left
    out. Where no split is given the last two by id validate.

    Raises `JobError` as `read_subjects` does.
    """
    source = Path(source)
    if source.is_dir():
        files = {_stem(file.name): file for file in sorted(source.iterdir()) if _stem(file.name) != file.name}
        named = {name.removesuffix(_LABELS): file for name, file in files.items() if name.endswith(_LABELS)} or files
        found = _split([Subject(name, named[name], named[name]) for name in sorted(named)])
    else:
        found = tuple(subject for subject in all_subjects(source) if subject.label is not None)
    if len(found) <= VALIDATING:
        raise data_invalid(source, f"it has {len(found)} label maps", f"Give at least {VALIDATING + 1}.")
    return found


def why_none_validates(subjects: Iterable[Subject]) -> str:
    """Why no scan measures the model while it trains, as a sentence; empty where one does."""
    validating = [subject for subject in subjects if subject.split is Split.VALIDATE]
    if any(subject.label is not None for subject in validating):
        return ""
    if not validating:
        return "No scan is for validation."
    named = ", ".join(subject.id for subject in validating[:_NAMED])
    others = f" and {len(validating) - _NAMED} more" if len(validating) > _NAMED else ""
    return f"No scan validates, for want of labels of {named}{others}."


def data_invalid(source: Path, what: str, advice: str) -> JobError:
    """The error for a set of scans that cannot be used."""
    return JobError(Code.DATA_INVALID, f"The data in {source} cannot be used: {what}.", advice)


def _from_csv(path: Path) -> tuple[Subject, ...]:
    refuse = partial(data_invalid, path)
    columns, lines = read_table(path, refuse)
    if missing := {"image", "label"} - set(columns):
        raise data_invalid(path, f"the column {min(missing)} is missing", "Its first line is image,label,split.")
    rows = [(line, cells_of(line, row, refuse)) for line, row in lines]
    found = [_from_row(path, line, row) for line, row in rows]
    names = [subject.id for subject in found]
    for name in names:
        if names.count(name) > 1:
            raise data_invalid(path, f"the image {name} occurs twice", "Name each image once.")
    found.sort(key=lambda subject: subject.id)
    return tuple(found) if any(row.get("split") for _, row in rows) else _split(found)


def _from_row(path: Path, line: int, row: dict[str, str]) -> Subject:
    if not row["image"]:
        raise data_invalid(path, f"line {line} names no image", "Give the path of a scan.")
    try:
        split = Split(row.get("split") or Split.TRAIN)
    except ValueError:
        raise data_invalid(path, f"line {line} has the split {row['split']}", "Say train, val or test.") from None
    image = path.parent / row["image"]
    label = path.parent / row["label"] if row["label"] else None
    for file in (image, label):
        if file is not None and not file.exists():
            raise data_invalid(path, f"line {line} names {file}, which does not exist", "Check the path.")
    return Subject(_stem(row["image"]), image, label, split)


def _from_folder(folder: Path) -> tuple[Subject, ...]:
    files = {_stem(file.name): file for file in sorted(folder.iterdir()) if _stem(file.name) != file.name}
    labels = {name.removesuffix(_LABELS): file for name, file in files.items() if name.endswith(_LABELS)}
    found: dict[str, Subject] = {}
    for name, file in files.items():
        if name.endswith(_LABELS):
            continue
        # The longest name decides, so that 1_2_mr belongs to 1_2_labels and not to 1_labels.
        owner = max((n for n in labels if name == n or name.startswith(f"{n}_")), key=len, default=name)
        if owner in found:
            raise data_invalid(
                folder, f"{file.name} and {found[owner].image.name} share labels", "Leave one scan for each label map."
            )
        found[owner] = Subject(owner, file, labels.get(owner))
    if alone := sorted(labels.keys() - found.keys()):
        raise data_invalid(
            folder, f"{labels[alone[0]].name} has no scan beside it", f"Name the scan {alone[0]} as its labels are."
        )
    return _split([found[name] for name in sorted(found)])


def _split(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    ordered = tuple(subjects)
    return ordered[:-VALIDATING] + tuple(replace(s, split=Split.VALIDATE) for s in ordered[-VALIDATING:])


def _stem(name: str) -> str:
    """The name without the ending of an image file."""
    return next((name[: -len(ending)] for ending in ENDINGS if name.lower().endswith(ending)), name)
