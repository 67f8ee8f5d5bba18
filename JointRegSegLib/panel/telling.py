"""An error in a box."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from ..job import JobError


def tell(error: JobError) -> None:
    """Show what is wrong and what to do about it; its code, which the README explains, is among the details."""
    details = _("Error code: {code}").format(code=error.code.value)
    slicer.util.errorDisplay(f"{error.message}\n\n{error.advice}".strip(), detailedText=details)
