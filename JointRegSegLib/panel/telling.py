"""An error in a box."""

from __future__ import annotations

import slicer

from ..job import JobError


def tell(error: JobError) -> None:
    """Show what is wrong and what to do about it."""
    slicer.util.errorDisplay(f"{error.message}\n\n{error.advice}".strip())
