"""The most memory that a stretch of work took."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from ..pipeline.machine import peak_memory

_PROC = Path("/proc")
_PEAK = b"5"


class PeakMemory:
    """Measures one stretch after another.

    On a GPU it counts what PyTorch held there. On the CPU it counts all that the process held, libraries and what the
    allocator had kept from before included; Linux alone forgets a peak when asked to, elsewhere there is no figure.

    Args:
        device: where the work is done.
        proc: where Linux listens; for tests.
    """

    def __init__(self, device: torch.device, proc: Path = _PROC) -> None:
        self._device, self._proc = device, proc
        self._known = False

    def begin(self) -> None:
        """A stretch begins: what came before it does not count."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        self._known = _forget_peak(self._proc)

    def megabytes(self) -> float:
        """The peak since `begin` in MB (10^6 bytes); NaN where it cannot be known."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 1e6
        return peak_memory(self._proc) / 1e6 if self._known else math.nan


def _forget_peak(proc: Path) -> bool:
    """Let the process's peak begin again with what it holds now (proc(5), clear_refs); whether that was done."""
    try:
        file = os.open(proc / "self/clear_refs", os.O_WRONLY)
    except OSError:
        return False
    try:
        return os.write(file, _PEAK) == len(_PEAK)
    except OSError:
        return False
    finally:
        os.close(file)
