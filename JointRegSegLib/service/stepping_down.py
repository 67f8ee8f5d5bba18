"""A run that asks for more memory than the graphics card has begins again on the CPU, and the result says so."""

from __future__ import annotations

import contextlib
import gc
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..job import Caution, Device, Event, JobError, Kind, Request, Result
from ..job.folders import write_whole
from ..job.result import QUALITY_CSV, QUALITY_JSON
from .failures import is_short_of_gpu_memory

Run = Callable[[Request, Callable[[Event], None], Callable[[], bool]], Result]

CAUTION = Caution(
    "gpu-memory", "The memory of the graphics card was not enough, so the run began again on the CPU, which is slower."
)


def stepping_down(run: Run, begin_again: Callable[[], None]) -> Run:
    """`run`, which for want of memory on a graphics card is done once more, on the CPU.

    Args:
        run: the pipeline's.
        begin_again: called before the second time.
    """

    def run_or_step_down(request: Request, report: Callable[[Event], None], cancelled: Callable[[], bool]) -> Result:
        try:
            return run(request, report, cancelled)
        except Exception as problem:
            if not is_short_of_gpu_memory(problem):
                raise
            traceback.print_exc()
        gc.collect()  # what the first time held
        _hand_back_cached_memory()
        begin_again()
        report(Event(Kind.CAUTION, CAUTION.message, code=CAUTION.code))
        result = run(replace(request, device=Device.CPU), report, cancelled)
        with contextlib.suppress(JobError):  # the result is whole without it, and the event has been told
            _write_caution(result)
        return result

    return run_or_step_down


def _hand_back_cached_memory() -> None:
    """What PyTorch keeps of the card for later is of no use to the CPU, and others may want it."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return
    with contextlib.suppress(RuntimeError):  # of a card that is in no state to answer
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()


def _write_caution(result: Result) -> None:
    table = replace(result.quality, cautions=(CAUTION, *result.quality.cautions))
    write_whole(result.path(QUALITY_JSON), table.to_json())
    write_whole(result.path(QUALITY_CSV), table.to_csv())
