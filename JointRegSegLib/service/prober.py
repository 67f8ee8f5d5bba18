"""The child of `torch_state.probe`: `python -m JointRegSegLib.service.prober`."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import asdict
from typing import Any

from ..job import Code, Event, JobError, Kind
from .asking import answer
from .requirements import NEEDED, shortcomings
from .torch_state import TorchDevice, load_torch


def load() -> Any:
    """PyTorch, where a run finds all else that it needs too.

    Raises `JobError`: TORCH_MISSING, with what else is missing; TORCH_BROKEN; WORKER_NOT_STARTED where PyTorch is there
    and something else is not.
    """
    lacking = shortcomings()
    try:
        torch = load_torch()
    except JobError as error:
        if lacking and error.code is Code.TORCH_MISSING:
            raise JobError(error.code, f"{error.message.rstrip('.')}, which {lacking}.", NEEDED) from error
        raise
    if lacking:
        raise JobError(Code.WORKER_NOT_STARTED, f"{sys.executable} {lacking}.", NEEDED)
    return torch


def describe(torch: Any) -> Event:
    """What this Python offers, as an event's data."""
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
    data = {
        "version": str(torch.__version__),
        "devices": [asdict(device) for device in devices],
        "has_safetensors": importlib.util.find_spec("safetensors") is not None,
    }
    return Event(Kind.LOG, data=data)


def _free_gb() -> float | None:
    """Of main memory; None where nobody can tell."""
    try:
        from ..pipeline.machine import free_memory

        free = free_memory()
    except Exception:  # a library is missing or broken, and broken ones fail in many ways; a run will say which
        return None
    return free / 1e9 if math.isfinite(free) else None


if __name__ == "__main__":
    sys.exit(answer(lambda: describe(load())))
