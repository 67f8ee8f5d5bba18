"""What a test needs and may not find: skipped by name on a user's machine, a failure where JRS_NO_SKIP=1."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest


def skipping_forbidden() -> bool:
    """Whether this run promises that everything is installed, so that a skip is a failure."""
    return os.environ.get("JRS_NO_SKIP", "") == "1"


def need(module: str, system: str = "") -> ModuleType:
    """Import a third-party module, or skip the test or test file that asked for it.

    Args:
        module: the dotted name to import.
        system: what else has to be installed for it, in words, such as "slicer-core" or "libegl1".

    Returns:
        the module; where it cannot be imported, the caller is skipped, or fails where skips are forbidden.
    """
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        lacking(f"{module} cannot be imported ({problem})", system)


def need_program(program: str, system: str = "") -> str:
    """The path of a program, this environment's own first, or skip the test or test file that asked for it."""
    found = shutil.which(program, path=str(Path(sys.executable).parent)) or shutil.which(program)
    if found is None:
        lacking(f"{program} is not on the path", system)
    return found


def lacking(what: str, system: str = "") -> NoReturn:
    """Skip, or fail where skips are forbidden, and say what is missing."""
    reason = f"{what}; needs {system}" if system else what
    if skipping_forbidden():
        pytest.fail(f"{reason} (JRS_NO_SKIP=1)", pytrace=False)
    pytest.skip(reason, allow_module_level=True)
