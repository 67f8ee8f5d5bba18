"""Running rows: change the target, run the method, score the result, keep the line."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from . import peers, provenance, subjects
from .parts import PEERS, SECONDS, SLOWER, AnyRow, Row
from .processes import StepError, run_step
from .rows import Line, Store

_SCORING_LIMIT = 600.0


def code_of(row: Row) -> str:
    """What the row's figures depend on besides its settings: the engine's sources, or the peer's version."""
    return peers.version(row) if row.method in PEERS else f"engine {provenance.engine_code()}"


def missing(rows: Iterable[Row], data: Path) -> list[Path]:
    """The files that these rows need and that are not there."""
    files = set()
    for row in rows:
        for subject in (row.atlas, row.target):
            files.update({subjects.image(data, row.dataset, subject), subjects.labels(data, row.dataset, subject)})
    return sorted(file for file in files if not file.is_file())


def seconds_of(row: Row) -> float:
    """How long a row is expected to take."""
    return SECONDS.get(row.method, 60) * SLOWER.get(row.dataset, 1.0)


class Bench(Protocol):
    """How one kind of row is run: a module with these functions, as this one is for registrations."""

    def missing(self, rows: Iterable[Any], data: Path) -> list[Path]: ...
    def code_of(self, row: Any) -> str: ...
    def seconds_of(self, row: Any) -> float: ...
    def measure(self, row: Any, data: Path, code: str) -> Line: ...
    def summary(self, line: Line) -> str: ...


def run_rows(
    rows: Iterable[Any], data: Path, store: Store, minutes: float | None = None, bench: Bench | None = None
) -> list[Any]:
    """Run the rows that have no line yet, one after the other.

    Args:
        bench: how they are run; as registrations where None.
        minutes: start no row that is not expected to end within this time, or None.

    Returns: the rows without figures, because they failed or no time was left.
    """
    started = time.monotonic()
    bench = bench or sys.modules[__name__]
    left = []
    for row in rows:
        code = bench.code_of(row)
        if store.has(row, code):
            print(f"{row.name}: there already", flush=True)
            continue
        if minutes is not None and time.monotonic() - started + bench.seconds_of(row) > 60 * minutes:
            left.append(row)
            continue
        line = bench.measure(row, data, code)
        store.add(line)
        print(f"{row.name}: {bench.summary(line)}", flush=True)
        if "error" in line:
            left.append(row)
    return left


def summary(line: Line) -> str:
    """A finished row in a few words."""
    if "error" in line:
        return failure(line)
    return (
        f"Dice {line['dice']:.4f}, SDlogJ {line['sdlogj']:.3f}, folding {line['folding_percent']:.4f} %, "
        f"{line['cpu_seconds']:.1f} CPU s in {line['seconds']:.1f} s, peak {line['command_peak_mb']:.0f} MB"
    )


def failure(line: Line) -> str:
    """Why a row has no figures, in a line."""
    return f"failed ({line['error'].splitlines()[-1] if line['error'] else 'no message'})"


def begun(row: AnyRow, code: str, commit: str) -> Line:
    """The line of a row without its figures."""
    return {
        "row": row.name,
        "part": row.part,
        "key": row.key,
        "code": code,
        "commit": commit,
        "settings": row.settings,
        "budget": asdict(row.budget),
        "machine": provenance.machine(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }


def measure(row: Row, data: Path, code: str) -> Line:
    """Run one row; a row that fails gives a line with `error` instead of figures."""
    line = begun(row, code, provenance.commit())
    try:
        with tempfile.TemporaryDirectory(prefix="jrs-bench-") as folder:
            line.update(_figures(row, data, Path(folder)))
    except StepError as problem:
        line["error"] = str(problem)
    return line


def _figures(row: Row, data: Path, folder: Path) -> dict[str, Any]:
    data = data.absolute()
    job: dict[str, Any] = {
        **row.settings,
        "atlas": str(subjects.image(data, row.dataset, row.atlas)),
        "atlas_labels": str(subjects.labels(data, row.dataset, row.atlas)),
        "target": str(subjects.image(data, row.dataset, row.target)),
        "target_labels": str(subjects.labels(data, row.dataset, row.target)),
        "threads": row.budget.threads,
        "device": row.budget.device,
        "output": str(folder / "result"),
        "field": str(folder / "field.nrrd"),
    }
    if row.change:
        new = {"new_target": str(folder / "target.nii.gz"), "new_labels": str(folder / "target_labels.nii.gz")}
        run_step(module_command("changes"), {**job, **new}, row.budget.threads, _SCORING_LIMIT)
        job.update(target=new["new_target"], target_labels=new["new_labels"])
    ours = row.method not in PEERS
    command = module_command("ours_run") if ours else [str(peers.build()), str(peers.SCRIPT)]
    outcome, used = run_step(command, job, row.budget.threads, row.budget.limit_seconds, as_worker=ours)
    scoring = {
        **job,
        "field": outcome.pop("field", job["field"]),
        "labels": outcome.pop("labels", None),
        "scored": subjects.scored(data, row.dataset),
    }
    scores, _ = run_step(module_command("score"), scoring, row.budget.threads, _SCORING_LIMIT)
    whole = {f"command_{name}": value for name, value in asdict(used).items()}
    return rounded({**outcome, **whole, **scores})


def module_command(name: str) -> list[str]:
    return [sys.executable, "-m", f"{__package__}.{name}"]


def rounded(value: Any) -> Any:
    """Numbers to six digits: more is noise, and the lines are kept."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
