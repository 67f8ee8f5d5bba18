"""Benchmarks of cohorts: rows that differ, a page made from lines, and the scheduler's share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from Testing.benchmarks import batches_run, batches_tables
from Testing.benchmarks.__main__ import KEPT, METHOD_PAGES
from Testing.benchmarks.batches import BATCHES, Batch
from Testing.benchmarks.rows import Store
from Testing.benchmarks.runner import begun

ROWS = BATCHES["batch"].rows


def test_rows_have_names_and_keys_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len({row.key for row in ROWS}) == len(ROWS) == 3


def test_lacking_scans_are_named(tmp_path: Path) -> None:
    lacking = batches_run.missing(ROWS, tmp_path)
    assert len(lacking) == 6
    assert tmp_path / "oasis" / "1000_labels.nii.gz" in lacking


def test_the_page_is_made_from_the_lines_beside_it() -> None:
    page = METHOD_PAGES / "batches.md"
    assert page.read_text(encoding="utf-8") == batches_tables.page_text(Store(KEPT))


def _line(row: Batch, per_hour: float) -> dict[str, Any]:
    figures = {"cases": 4, "cases_per_hour": per_hour, "case_seconds": 36.0, "idle_share": 0.02}
    return {**begun(row, "code", "abc"), **figures, "command_cpu_seconds": 100.0}


def test_the_scheduler_is_compared_with_as_many_threads(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for row, per_hour in zip(ROWS, (100.0, 160.0, 152.0), strict=True):
        store.add(_line(row, per_hour))
    rows = [line for line in batches_tables.page_text(store).splitlines() if line.startswith(("| here", "| dask"))]
    assert rows[1] == "| here | 2 | 160 | 36.0 | 25.0 | 2.0 |  | abc |"
    assert rows[2] == "| dask | 2 | 152 | 36.0 | 25.0 | 2.0 | 5.0 | abc |"
