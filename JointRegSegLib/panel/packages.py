"""Small packages that Slicer does not bring: installed on a click, and only after asking."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..service.wheelhouse import REQUIREMENTS

SAFETENSORS = "safetensors"


def install_packages() -> None:
    """Install what reads and writes trained models: by Slicer's own dialog since 5.12, by `pip_install` before."""
    requirement = REQUIREMENTS[SAFETENSORS]
    try:
        if not _ensure_by_slicer(requirement) and slicer.util.confirmOkCancelDisplay(
            _("Install the package {name} (about 0.5 MB) from the Python package index?").format(name=requirement)
        ):
            slicer.util.pip_install(requirement)
    except Exception as problem:
        logging.getLogger(__name__).exception("%s was not installed", requirement)
        sentence = _("{name} could not be installed: {problem}").format(name=requirement, problem=problem)
        advice = _("Check the network connection, or install it from a folder.")
        slicer.util.errorDisplay(f"{sentence}\n\n{advice}")


def _ensure_by_slicer(requirement: str) -> bool:
    """Whether this Slicer could be asked; it asks the user itself, who may say no."""
    try:
        packaging: Any = importlib.import_module("slicer.packaging")
    except ImportError:
        return False
    if not hasattr(packaging, "pip_ensure"):
        return False
    try:
        packaging.pip_ensure(requirement, requester="JointRegSeg")
    except RuntimeError:
        logging.getLogger(__name__).info("The user did not want %s", requirement)
    return True
