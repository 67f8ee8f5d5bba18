"""Running rows of networks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import provenance
from .networks import Network
from .processes import StepError, run_step
from .rows import Line
from .runner import begun, failure, module_command, rounded

_ROOMS = ("networks", "fields")


def code_of(row: Network) -> str:
    """What the row's figures depend on besides its settings."""
    return f"networks {provenance.engine_code(rooms=_ROOMS)}"


def missing(rows: Iterable[Network], data: Path) -> list[Path]:
    """None: networks are timed on random numbers."""
    return []


def seconds_of(row: Network) -> float:
    """How long a row is expected to take."""
    return 20.0


def measure(row: Network, data: Path, code: str) -> Line:
    """Time one network; a row that fails gives a line with `error` instead of figures."""
    line = begun(row, code, provenance.commit(_ROOMS))
    budget = row.budget
    job = {**row.settings, "device": budget.device, "threads": budget.threads}
    try:
        command = module_command("network_run")
        outcome, used = run_step(command, job, budget.threads, budget.limit_seconds, as_worker=True)
    except StepError as problem:
        return {**line, "error": str(problem)}
    floor = outcome["multiply_adds"] / outcome["rate"]
    # On the CPU the process's peak holds the libraries too.
    return rounded({**line, "peak_mb": used.peak_mb, "floor_seconds": floor, **outcome})


def summary(line: Line) -> str:
    """A finished row in a few words."""
    if "error" in line:
        return failure(line)
    return (
        f"{line['seconds']:.2f} s, {line['seconds'] / line['floor_seconds']:.1f} x arithmetic, {line['peak_mb']:.0f} MB"
    )
