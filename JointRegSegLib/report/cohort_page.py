"""The report of a cohort: one page with a row for each case, and the volumes as a table for statistics."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..job import QualityTable, Result
from ..job.folders import write_whole
from ..job.result import REPORT, THUMBNAIL
from .outliers import FEWEST, THRESHOLD, Reason, outliers
from .page import as_data, render

PAGE, VOLUMES = "cohort.html", "volumes.csv"
FAILED = "failed"
_TEMPLATE = "cohort.html"
_FIGURES = (
    ("folding_percent", "folding, %"),
    ("similarity_after", "similarity"),
    ("sdlogj", "SDlogJ"),
    ("review_percent", "to look at, %"),
)
_REASONS_SHOWN = 6


@dataclass(frozen=True)
class Case:
    """One case: its id, how it stands in one word (`FAILED` is counted), words for people, and its result or None."""

    id: str
    state: str
    message: str = ""
    result: Result | None = None


@dataclass(frozen=True)
class Row:
    """One row of the page; `figures` are numbers to sort by and their texts, `rank` says which come first."""

    id: str
    state: str
    words: list[str]
    more: int
    link: str
    thumbnail: str
    figures: list[tuple[float, str]]
    rank: tuple[float, ...]


def write_cohort(folder: Path, cases: Sequence[Case]) -> Path:
    """Write `cohort.html` and `volumes.csv` into the cohort's folder, which holds the results; return the page's path.

    Raises:
        JobError: EXTRA_MISSING, OUTPUT_UNWRITABLE or DISK_FULL.
    """
    tables = {case.id: case.result.quality for case in cases if case.result is not None}
    write_whole(folder / VOLUMES, volumes_csv(tables))
    write_whole(folder / PAGE, page(folder, cases, tables))
    return folder / PAGE


def page(folder: Path, cases: Sequence[Case], tables: dict[str, QualityTable]) -> str:
    """The page as HTML text: failed cases first, then outliers, then the others by id."""
    reasons = outliers(tables)
    known = {measure.key for table in tables.values() for measure in table.measures}
    shown = [(key, head) for key, head in _FIGURES if key in known]
    keys = [key for key, _ in shown]
    rows = [_row(folder, case, tables.get(case.id), reasons.get(case.id, []), keys) for case in cases]
    states = [case.state for case in cases]
    return render(
        _TEMPLATE,
        rows=sorted(rows, key=lambda row: (row.rank, row.id)),
        heads=[head for _, head in shown],
        counts=[(states.count(state), state) for state in dict.fromkeys(states)],
        failed=states.count(FAILED),
        outliers=len(reasons),
        threshold=THRESHOLD,
        compared=len(tables) >= FEWEST,
        fewest=FEWEST,
        volumes=VOLUMES,
    )


def volumes_csv(tables: dict[str, QualityTable]) -> str:
    """A line for each case, a column for each structure, in ml; empty where a case lacks the structure."""
    structures = {volume.value: volume.name for table in tables.values() for volume in table.labels}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", *(f"{value} {name}" for value, name in structures.items())))
    for case, table in tables.items():
        volumes = {volume.value: f"{volume.volume_ml:.6g}" for volume in table.labels}
        writer.writerow((case, *(volumes.get(value, "") for value in structures)))
    return text.getvalue()


def _row(folder: Path, case: Case, table: QualityTable | None, reasons: list[Reason], keys: list[str]) -> Row:
    figures, link, small = [(math.nan, "")] * len(keys), "", ""
    if case.result is not None and table is not None:
        values = {measure.key: measure.value for measure in table.measures}
        figures = [(values.get(key, math.nan), f"{values[key]:.3g}" if key in values else "") for key in keys]
        if case.result.path(REPORT).is_file():
            link = case.result.path(REPORT).relative_to(folder).as_posix()
        if case.result.path(THUMBNAIL).is_file():
            small = as_data(case.result.path(THUMBNAIL).read_bytes())
    words = [reason.words for reason in reasons[:_REASONS_SHOWN]] + ([case.message] if case.message else [])
    return Row(
        id=case.id,
        state="outlier" if reasons else case.state,
        words=words,
        more=max(len(reasons) - _REASONS_SHOWN, 0),
        link=link,
        thumbnail=small,
        figures=figures,
        rank=(table is not None, not reasons, -max((abs(reason.z) for reason in reasons), default=0.0)),
    )
