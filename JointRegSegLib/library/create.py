"""Making an atlas library from labelled scans."""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import SimpleITK as sitk

from ..job import Code, JobError
from ..job.filesystem import replace_file
from ..job.folders import staging, unwritable
from ..training.subjects import Subject, all_subjects, data_invalid
from ..volumes import (
    Grid,
    LabelMap,
    LabelTable,
    present_values,
    read_label_map,
    read_label_table,
    read_volume,
    resample_labels_to,
    write_label_map,
    write_label_table,
    write_volume,
)
from ..volumes.images import load_image
from .manifest import (
    IMAGES,
    LABELS,
    LICENCE,
    MANIFEST,
    TABLE,
    Manifest,
    Member,
    MemberGrid,
    Overviews,
    invalid,
    sha256,
)

ENDING = ".nii.gz"
Told = Callable[[str], None]
OverviewsOf = Callable[[Path, Sequence[Member], Told], Overviews]
"""Writes the overviews of members into a library's folder and says what they are; tells of each member."""

_LEAST_KEPT = 0.5


@dataclass(frozen=True)
class Plan:
    """A library to make.

    Attributes:
        source: folder or CSV of scans with labels (`training.subjects`); scans without labels are left out.
        output: folder or .zip to make.
        table: names, colours and terminology, or None for what the label maps themselves say.
        licence: text of the terms that the scans are under.
        name, version: of the library, for people.
        keep_names: call the members as their files are called; else 1, 2, ... because file names may hold a patient's.
    """

    source: Path
    output: Path
    table: Path | None = None
    licence: str = ""
    name: str = ""
    version: str = "1"
    keep_names: bool = False


def create(plan: Plan, told: Told = lambda line: None, overviews: OverviewsOf | None = None) -> Manifest:
    """Make the library, whole or not at all.

    Args:
        plan: what to make.
        told: hears what was left out or changed.
        overviews: makes the members' overviews (`pipeline.overviews`, which needs PyTorch), or None for none.

    Raises:
        JobError: scans, labels or table that cannot be used (with the file), LABELS_ELSEWHERE, LIBRARY_INVALID where
            two scans are the same or label values have no or two meanings; OUTPUT_EXISTS, OUTPUT_UNWRITABLE, DISK_FULL.
    """
    every = all_subjects(plan.source)
    subjects = [subject for subject in every if subject.label is not None]
    if not subjects:
        raise data_invalid(plan.source, "none of its scans has labels", "Give label maps as X_labels beside X.")
    if len(subjects) < len(every):
        told(f"{len(every) - len(subjects)} of {len(every)} scans have no labels and were left out.")
    if plan.output.suffix.lower() != ".zip":
        with staging(plan.output, overwrite=False) as folder:
            return _fill(folder, subjects, plan, told, overviews)
    return _packed(subjects, plan, told, overviews)


def _packed(subjects: list[Subject], plan: Plan, told: Told, overviews: OverviewsOf | None) -> Manifest:
    if plan.output.exists():
        raise JobError(Code.OUTPUT_EXISTS, f"The output {plan.output} is a file.", "Name another one.")
    partial = plan.output.with_name(f".{plan.output.name}.partial")
    try:
        plan.output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=plan.output.parent, prefix=".library-") as name:
            manifest = _fill(Path(name), subjects, plan, told, overviews)
            with zipfile.ZipFile(partial, "w") as packed:  # what is large in it is compressed already
                for file in sorted(Path(name).rglob("*")):
                    packed.write(file, file.relative_to(name))
        replace_file(partial, plan.output)
    except OSError as problem:
        raise unwritable(plan.output, problem) from problem
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return manifest


def _fill(folder: Path, subjects: list[Subject], plan: Plan, told: Told, overviews: OverviewsOf | None) -> Manifest:
    (folder / IMAGES).mkdir()
    (folder / LABELS).mkdir()
    given = None if plan.table is None else read_label_table(plan.table)
    table = given or LabelTable()
    members: list[Member] = []
    for number, subject in enumerate(subjects, 1):
        member, labels = _member(folder, subject, number, plan)
        if same := next((m.name for m in members if m.image_sha256 == member.image_sha256), None):
            raise invalid(plan.source, f"the images of {same} and {member.name} are the same", "Leave one of them out.")
        if given is None:
            table = _merged(table, labels.table, plan.source, member.name)
        elif lacking := [value for value in member.values if value not in given]:
            raise invalid(
                plan.source,
                f"{subject.id} holds the label value {lacking[0]}, which {plan.table} does not name",
                "Add a line for it to the table.",
            )
        members.append(member)
        told(f"{member.name}: {len(member.values)} structures")
    write_label_table(folder / TABLE, table)
    (folder / LICENCE).write_text(plan.licence, encoding="utf-8")
    manifest = Manifest(
        name=plan.name or plan.output.name.removesuffix(".zip"),
        version=plan.version,
        licence=(plan.licence.strip().splitlines() or [""])[0],
        table_sha256=sha256(folder / TABLE),
        members=tuple(members),
        overviews=None if overviews is None else overviews(folder, members, told),
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _member(folder: Path, subject: Subject, number: int, plan: Plan) -> tuple[Member, LabelMap]:
    assert subject.label is not None
    grid = read_volume(subject.image).grid  # which checks the scan
    # Written from its voxels: whatever a file's header says of a patient stays behind.
    voxels = sitk.GetArrayFromImage(load_image(subject.image))
    labels = _on_grid(read_label_map(subject.label, plan.table), grid, subject.label)
    file = f"{number:04}{ENDING}"
    image_path, labels_path = PurePosixPath(IMAGES, file), PurePosixPath(LABELS, file)
    write_volume(folder / image_path, voxels, grid)
    write_label_map(folder / labels_path, labels)
    member = Member(
        name=re.sub(r"\s+", " ", subject.id) if plan.keep_names else str(number),
        image=image_path,
        labels=labels_path,
        image_sha256=sha256(folder / image_path),
        labels_sha256=sha256(folder / labels_path),
        grid=as_member_grid(read_volume(folder / image_path).grid),
        values=tuple(present_values(labels.array)),
    )
    return member, labels


def as_member_grid(grid: Grid) -> MemberGrid:
    """A grid in the manifest's words."""
    return MemberGrid(grid.size, grid.spacing, grid.origin, grid.direction)


def _on_grid(labels: LabelMap, grid: Grid, path: Path) -> LabelMap:
    if labels.grid.same_as(grid):
        return replace(labels, grid=grid)
    # Slicer stores segmentations on grids cropped to the segments.
    moved = resample_labels_to(labels, grid)
    before, after = (np.count_nonzero(part.array) * part.grid.voxel_ml for part in (labels, moved))
    if after < _LEAST_KEPT * before:
        raise JobError(
            Code.LABELS_ELSEWHERE,
            f"Only {after / before:.0%} of the labelled voxels in {path} lie inside the atlas image.",
            "Choose the labels that belong to this scan, in the same space.",
        )
    return moved


def _merged(table: LabelTable, more: LabelTable, source: Path, name: str) -> LabelTable:
    for value, label in more.items():
        if value in table and table[value].name != label.name:
            raise invalid(
                source,
                f"the label value {value} is {label.name} in {name} and {table[value].name} in a scan before it",
                "Give one table of the labels, or renumber one of the label maps.",
            )
    return table.completed(more.values())
