"""What PyTorch and which devices a Python has, asked of a process of its own so that ours never loads them."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..job import Code, Event, JobError, Kind
from .launch import default_python, launch
from .processes import this_system


@dataclass(frozen=True)
class TorchDevice:
    """One place to compute: `kind` is cpu, cuda or mps; memory in GB, None where nobody can tell."""

    kind: str
    name: str
    free_gb: float | None = None
    total_gb: float | None = None


@dataclass(frozen=True)
class TorchState:
    """What a Python offers.

    Attributes:
        version: of PyTorch; empty where there is no working one.
        devices: where it can compute, the CPU first.
        error: why there is no working PyTorch, or None.
    """

    version: str = ""
    devices: tuple[TorchDevice, ...] = ()
    error: JobError | None = None


def probe(
    python: str | None = None, environment: Mapping[str, str] | None = None, timeout: float = 120.0
) -> TorchState:
    """Ask `python` (by default the one that would run the worker). Blocks for the seconds that importing PyTorch takes.

    Args:
        python: executable.
        environment: what the child's environment starts from; this process's own where None.
        timeout: seconds after which a Python that does not answer counts as broken.
    """
    python = python or default_python()
    system = this_system()
    with tempfile.TemporaryDirectory(prefix="jointregseg-") as folder:
        try:
            process = launch(python, __name__, [], Path(folder), environment or os.environ, system)
        except JobError as error:
            return TorchState(error=error)
        try:
            output, log = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            system.kill_tree(process.pid)
            process.communicate()
            return TorchState(error=_broken(f"{python} did not answer within {timeout:.0f} s"))
    for line in output.decode("utf-8", errors="replace").splitlines():
        event = Event.decode(line)
        if event is not None:
            return _from_event(event)
    last = log.decode("utf-8", errors="replace").strip().splitlines()[-1:]
    return TorchState(error=_broken(f"{python} {system.describe_exit(process.returncode)} ({' '.join(last)})"))


def load_torch() -> Any:
    """The torch module of this very process; a `JobError` TORCH_MISSING or TORCH_BROKEN. For child processes only."""
    if importlib.util.find_spec("torch") is None:
        raise JobError(
            Code.TORCH_MISSING,
            f"PyTorch is not installed in {sys.executable}.",
            "In Slicer install it with the PyTorch extension; elsewhere run: pip install torch",
        )
    try:
        return importlib.import_module("torch")
    except Exception as problem:
        words = str(problem).strip().splitlines()
        raise _broken(words[0].rstrip(".") if words else type(problem).__name__) from problem


def _broken(reason: str) -> JobError:
    return JobError(
        Code.TORCH_BROKEN,
        f"PyTorch cannot be loaded: {reason}.",
        "Install it again; in Slicer use the PyTorch extension's uninstall and install buttons, then restart.",
    )


def _from_event(event: Event) -> TorchState:
    if event.kind is Kind.ERROR:
        return TorchState(error=JobError(Code(event.code), event.message, event.advice))
    return TorchState(event.data["version"], tuple(TorchDevice(**device) for device in event.data["devices"]))


def _describe(torch: Any) -> Event:
    count = torch.get_num_threads()
    devices = [TorchDevice("cpu", f"CPU, {count} thread{'' if count == 1 else 's'}", _free_gb())]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            try:
                free, total = torch.cuda.mem_get_info(index)
            except RuntimeError:  # listed, but not usable: another process owns it, or the driver is too old
                continue
            devices.append(TorchDevice("cuda", torch.cuda.get_device_name(index), free / 1e9, total / 1e9))
    if torch.backends.mps.is_available():
        devices.append(TorchDevice("mps", "Apple GPU"))
    return Event(Kind.LOG, data={"version": str(torch.__version__), "devices": [asdict(device) for device in devices]})


def _free_gb() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1e6 for line in lines if line.startswith("MemAvailable:")), None)


def main() -> None:
    """Print this process's state as one event."""
    try:
        event = _describe(load_torch())
    except JobError as error:
        event = Event(Kind.ERROR, message=error.message, code=error.code.value, advice=error.advice)
    print("\n" + event.encode(), flush=True)


if __name__ == "__main__":
    main()
