"""Libraries that only some commands need, imported when they do."""

from __future__ import annotations

import importlib
from typing import Any

from .job import Code, JobError


def load_extra(module: str, extra: str, purpose: str) -> Any:
    """The module; `JobError` EXTRA_MISSING where it is not installed.

    Args:
        module: the dotted name to import.
        extra: which of this package's extras installs it.
        purpose: what needs it, as the beginning of a sentence.
    """
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise JobError(
            Code.EXTRA_MISSING,
            f"{purpose} needs {module.partition('.')[0]}, which is not installed.",
            f"Install the extra {extra}: pip install 'jointregseg[{extra}]'",
        ) from problem
