"""A run that asks for more memory than the graphics card has begins again on the CPU, and the result says so."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..job import Caution, Code, Device, Event, Kind, Request, Result
from ..job.folders import write_whole
from ..job.result import QUALITY_CSV, QUALITY_JSON
from .failures import as_job_error

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
            if as_job_error(problem).code is not Code.OUT_OF_MEMORY or not _a_card_computes(request.device):
                raise
            traceback.print_exc()
        gc.collect()  # what the first time held in main memory
        begin_again()
        report(Event(Kind.CAUTION, CAUTION.message, code=CAUTION.code))
        return _with_caution(run(replace(request, device=Device.CPU), report, cancelled))

    return run_or_step_down


def _a_card_computes(wanted: Device) -> bool:
    """Whether the run that failed was on a graphics card, as `pipeline.devices.choose_device` chooses."""
    torch: Any = sys.modules.get("torch")
    if torch is None or wanted is Device.CPU:
        return False
    return wanted is Device.MPS or bool(torch.cuda.is_available())


def _with_caution(result: Result) -> Result:
    table = replace(result.quality, cautions=(CAUTION, *result.quality.cautions))
    write_whole(result.path(QUALITY_JSON), table.to_json())
    write_whole(result.path(QUALITY_CSV), table.to_csv())
    return result
