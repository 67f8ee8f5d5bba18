"""Running rows of cohorts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from . import provenance, subjects
from .batches import ATLAS, TARGETS, Batch
from .processes import StepError, run_step
from .rows import Line
from .runner import begun, failure, module_command, rounded

_ROOMS = (*provenance.ROOMS, "service", "cohort")


def code_of(row: Batch) -> str:
    """What the row's figures depend on besides its settings."""
    return f"cohorts {provenance.engine_code(rooms=_ROOMS)}"


def missing(rows: Iterable[Batch], data: Path) -> list[Path]:
    """The files that these rows need and that are not there."""
    files = {subjects.labels(data, row.dataset, ATLAS) for row in rows}
    files |= {subjects.image(data, row.dataset, subject) for row in rows for subject in (ATLAS, *TARGETS)}
    return sorted(file for file in files if not file.is_file())


def seconds_of(row: Batch) -> float:
    """How long a row is expected to take."""
    return 120.0


def measure(row: Batch, data: Path, code: str) -> Line:
    """Run one cohort; a row that fails gives a line with `error` instead of figures."""
    line = begun(row, code, provenance.commit(_ROOMS))
    data = data.absolute()
    job = {
        **row.settings,
        "atlas": str(subjects.image(data, row.dataset, ATLAS)),
        "atlas_labels": str(subjects.labels(data, row.dataset, ATLAS)),
        "targets": {subject: str(subjects.image(data, row.dataset, subject)) for subject in TARGETS},
        "threads": row.budget.threads,
        "device": row.budget.device,
    }
    try:
        outcome, used = run_step(module_command("batch_run"), job, row.budget.threads, row.budget.limit_seconds)
    except StepError as problem:
        return {**line, "error": str(problem)}
    return rounded({**line, **{f"command_{name}": value for name, value in asdict(used).items()}, **outcome})


def summary(line: Line) -> str:
    """A finished row in a few words."""
    if "error" in line:
        return failure(line)
    return (
        f"{line['cases_per_hour']:.0f} cases an hour, {line['case_seconds']:.1f} s each, "
        f"{line['idle_share']:.1%} of the workers' time not in cases"
    )
