"""Running one step as a process of its own and measuring all that it used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from JointRegSegLib.service.launch import worker_environment

from .provenance import ROOT


class StepError(Exception):
    """A step that ended without an outcome; the message holds the end of what it printed."""


@dataclass(frozen=True)
class Used:
    """What a whole command used, imports and writing included: seconds, CPU seconds of all threads, peak MB."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def run_step(
    command: list[str], job: dict[str, Any], threads: int, limit: float, as_worker: bool = False
) -> tuple[dict[str, Any], Used]:
    """Run `command JOB`, where the file JOB holds `job` and names the file for the outcome.

    `as_worker`: in the environment that the client gives to its workers, so that what is measured is what users get.

    Returns: the outcome that the step wrote, and what it used. On Windows CPU and memory are NaN; on Linux the peak is
    never below that of the calling process, which should therefore be small.
    Raises `StepError` when it fails, takes longer than `limit` seconds or leaves no outcome.
    """
    with tempfile.TemporaryDirectory(prefix="jrs-bench-") as folder:
        file, outcome, log = (Path(folder) / name for name in ("job.json", "outcome.json", "log.txt"))
        file.write_text(json.dumps({**job, "outcome": str(outcome)}), encoding="utf-8")
        used = run_command([*command, str(file)], log, threads, limit, as_worker)
        if not outcome.is_file():
            raise StepError("status 0: " + _end(log))
        return json.loads(outcome.read_text(encoding="utf-8")), used


def run_command(command: list[str], log: Path, threads: int, limit: float, as_worker: bool = False) -> Used:
    """Run a command with its output in `log`; what it returns and raises is as of `run_step`."""
    with log.open("wb") as stream:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=ROOT, env=_environment(threads, as_worker), stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            status, cpu, peak = _wait(child, started + limit)
        except BaseException:
            child.kill()
            child.wait()
            raise
        used = Used(time.perf_counter() - started, cpu, peak)
    if status != 0:
        raise StepError(f"status {status}: " + _end(log))
    return used


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:].strip()


def _environment(threads: int, as_worker: bool) -> dict[str, str]:
    count = str(threads)
    return {
        **(worker_environment(os.environ, sys.executable) if as_worker else os.environ),
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": count,
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
    }


def _wait(child: subprocess.Popen[bytes], deadline: float) -> tuple[int, float, float]:
    """Exit status, CPU seconds and peak MB of a child; `StepError` at the deadline."""
    if not hasattr(os, "wait4"):
        try:
            return child.wait(deadline - time.perf_counter()), float("nan"), float("nan")
        except subprocess.TimeoutExpired:
            raise StepError("it took longer than its budget") from None
    while True:
        found, status, usage = os.wait4(child.pid, os.WNOHANG)
        if found:
            child.returncode = os.waitstatus_to_exitcode(status)
            per_mb = 1024**2 if sys.platform == "darwin" else 1024
            return child.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / per_mb
        if time.perf_counter() > deadline:
            raise StepError("it took longer than its budget")
        time.sleep(0.05)
