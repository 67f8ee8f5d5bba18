"""Running rows of networks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import provenance
from .networks import Network, WholeMethod
from .processes import StepError, run_step
from .rows import Line
from .runner import begun, failure, module_command, rounded

_ROOMS = ("networks", "fields")
_METHODS_ROOMS = (*_ROOMS, "losses", "training", "methods")


def rooms_of(row: Network | WholeMethod) -> tuple[str, ...]:
    """Where what the row times is written."""
    return _METHODS_ROOMS if isinstance(row, WholeMethod) else _ROOMS


def code_of(row: Network | WholeMethod) -> str:
    """What the row's figures depend on besides its settings."""
    return f"networks {provenance.engine_code(rooms=rooms_of(row))}"


def missing(rows: Iterable[Network | WholeMethod], data: Path) -> list[Path]:
    """None: networks are timed on random numbers."""
    return []


def seconds_of(row: Network | WholeMethod) -> float:
    """How long a row is expected to take."""
    return 120.0 if isinstance(row, WholeMethod) else 20.0


def measure(row: Network | WholeMethod, data: Path, code: str) -> Line:
    """Time one network; a row that fails gives a line with `error` instead of figures."""
    line = begun(row, code, provenance.commit(rooms_of(row)))
    budget = row.budget
    job = {**row.settings, "device": budget.device, "threads": budget.threads}
    try:
        command = module_command("network_run")
        outcome, used = run_step(command, job, budget.threads, budget.limit_seconds, as_worker=True)
    except StepError as problem:
        return {**line, "error": str(problem)}
    floors = {"floor_seconds": outcome["multiply_adds"] / outcome["rate"]}
    if budget.device == "cpu":
        floors["floor_cpu_seconds"] = outcome["multiply_adds"] / outcome["cpu_rate"]
    # On the CPU the process's peak holds the libraries too.
    return rounded({**line, "peak_mb": used.peak_mb, **floors, **outcome})


def summary(line: Line) -> str:
    """A finished row in a few words."""
    if "error" in line:
        return failure(line)
    took = f"{line['seconds']:.2f} s, {line['cpu_seconds']:.2f} CPU s"
    return f"{took}, {times_floor(line):.1f} x arithmetic, {line['peak_mb']:.0f} MB"


def times_floor(line: Line) -> float:
    """How many times as long as its arithmetic a row took; by CPU seconds where they were measured on a CPU."""
    by = "cpu_" if "floor_cpu_seconds" in line else ""
    return float(line[f"{by}seconds"] / line[f"floor_{by}seconds"])
