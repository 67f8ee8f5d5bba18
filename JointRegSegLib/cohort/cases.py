"""The targets of a cohort, as its table names them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..job import Code, JobError, Quality, Similarity
from ..job.csv_table import cells_of, read_table
from ..job.request import LARGEST_SEED, START_AS_PLACED, START_AUTO

ID, TARGET = "id", "target"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ADVICE = "Its first line is id,target; further columns may be target_mask, quality, similarity, start and seed."


@dataclass(frozen=True)
class Case:
    """One target.

    Attributes:
        id: unique; the name of its result's folder.
        target: the scan: file, or folder of one DICOM series.
        options: fields of its request that differ from the cohort's.
        row: the table's own words, which tell whether a case has changed.
        line: where they stand in the table; 0 for a case of no table.
    """

    id: str
    target: Path
    options: dict[str, Any] = field(default_factory=dict)
    row: tuple[tuple[str, str], ...] = ()
    line: int = 0


def read_cases(path: Path) -> tuple[tuple[Case, ...], list[str]]:
    """The cases of a CSV in their order, and the names of columns that nothing uses.

    The columns are `id` and `target`, and as wanted `target_mask`, `quality`, `similarity`, `start` and `seed`; an
    empty cell means what holds for the cohort. Paths are relative to the CSV's folder. Whether the scans exist is
    found out when their turn comes, so that one of them stops no other.

    Raises:
        JobError: FILE_MISSING; COHORT_INVALID with the line that cannot be used.
    """
    if not path.is_file():
        raise JobError(Code.FILE_MISSING, f"There is no {path}.", "Check the path.")
    refuse = functools.partial(_invalid, path)
    names, rows = read_table(path, refuse)
    columns = [name.strip() for name in names]
    if missing := [name for name in (ID, TARGET) if name not in columns]:
        raise _invalid(path, f"the column {missing[0]} is missing")
    if not rows:
        raise _invalid(path, "it names no case", "Give a line for each target.")
    every = [(line, cells_of(line, row, refuse)) for line, row in rows]
    cases = [_case(path, line, {name.strip(): cell for name, cell in cells.items()}) for line, cells in every]
    seen: set[str] = set()
    for case in cases:
        if case.id.lower() in seen:  # folders of some systems do not tell them apart
            raise _invalid(path, f"the id {case.id} occurs twice", "Give each case an id of its own.")
        seen.add(case.id.lower())
    return tuple(cases), [name for name in columns if name not in (ID, TARGET, *_OPTIONS)]


def _case(path: Path, line: int, row: dict[str, str]) -> Case:
    if _NAME.fullmatch(row[ID]) is None:
        raise _invalid(
            path,
            f"line {line} has the id “{row[ID][:60]}”",
            "Take letters, digits, dots, hyphens and underscores; ids name folders and stand in reports.",
        )
    if not row[TARGET]:
        raise _invalid(path, f"line {line} names no target", "Give the path of a scan.")
    options = {}
    for name, read in _OPTIONS.items():
        if row.get(name):
            try:
                options[name] = read(row[name], path.parent)
            except ValueError:
                raise _invalid(
                    path, f"line {line} has the {name} “{row[name][:60]}”", _CHOICES.get(name, _ADVICE)
                ) from None
    used = tuple((name, row[name]) for name in (TARGET, *_OPTIONS) if row.get(name))
    return Case(row[ID], path.parent / row[TARGET], options, used, line)


def _start(text: str, folder: Path) -> str:
    return text if text in (START_AUTO, START_AS_PLACED) else str(folder / text)


def _seed(text: str, folder: Path) -> int:
    seed = int(text)
    if not 0 <= seed <= LARGEST_SEED:
        raise ValueError(f"seed {seed}")
    return seed


_OPTIONS: dict[str, Callable[[str, Path], Any]] = {
    "target_mask": lambda text, folder: folder / text,
    "quality": lambda text, folder: Quality(text),
    "similarity": lambda text, folder: Similarity(text),
    "start": _start,
    "seed": _seed,
}
_CHOICES = {
    "quality": f"Say one of {', '.join(quality.value for quality in Quality)}.",
    "similarity": f"Say one of {', '.join(similarity.value for similarity in Similarity)}.",
    "seed": "Give a whole number from 0 to 2**63 - 1.",
}


def _invalid(path: Path, what: str, advice: str = _ADVICE) -> JobError:
    return JobError(Code.COHORT_INVALID, f"The cohort {path} cannot be used: {what}.", advice)
