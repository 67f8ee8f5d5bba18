"""What to tell a person about anything that ended a run."""

from __future__ import annotations

import re

from ..job import Code, JobError
from ..job.folders import is_disk_full

MEMORY_ADVICE = "Close other programs, choose the quality fast, or compute on the CPU."

_CARD = re.compile(r"\b(cuda|hip|mps)\b")


def as_job_error(problem: BaseException, memory_advice: str = MEMORY_ADVICE) -> JobError:
    """The error itself where it was made for people; else what it comes to, with advice for want of memory."""
    if isinstance(problem, JobError):
        return problem
    if isinstance(problem, KeyboardInterrupt):
        return JobError(Code.CANCELLED, "The run was cancelled.")
    if _is_out_of_memory(problem):
        return JobError(
            Code.OUT_OF_MEMORY,
            f"The memory is not enough for this run: {first_line(problem)}.",
            memory_advice,
        )
    if isinstance(problem, OSError) and is_disk_full(problem):
        return JobError(Code.DISK_FULL, f"The disk is full: {first_line(problem)}.", "Free some space.")
    return JobError(
        Code.INTERNAL,
        f"Something went wrong inside JointRegSeg ({type(problem).__name__}: {first_line(problem)}).",
        "Please report it together with the log.",
    )


def first_line(problem: BaseException) -> str:
    """What the problem says first, without its full stop; its kind where it says nothing."""
    lines = str(problem).strip().splitlines()
    return (lines[0] if lines else type(problem).__name__).rstrip(".")


def is_short_of_gpu_memory(problem: BaseException) -> bool:
    """Whether a graphics card's memory was not enough: PyTorch's own error, or what a card's library says."""
    if any(cls.__name__ == "OutOfMemoryError" for cls in type(problem).__mro__):
        return True
    words = str(problem).lower()
    return isinstance(problem, RuntimeError) and "out of memory" in words and bool(_CARD.search(words))


def _is_out_of_memory(problem: BaseException) -> bool:
    if isinstance(problem, MemoryError) or is_short_of_gpu_memory(problem):
        return True
    words = str(problem).lower()
    return isinstance(problem, RuntimeError) and any(
        sign in words
        for sign in ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate memory")
    )
