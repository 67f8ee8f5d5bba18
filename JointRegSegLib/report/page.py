"""Filling the templates: pages that need no network and run nothing but what stands in them."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from .. import __version__
from ..extras import load_extra
from ..job import Status

TEMPLATES = Path(__file__).with_name("templates")
_PATH = re.compile(r"(?<![\w.…<])(?:[A-Za-z]:)?[\\/][^\s'\"“”]*[^\s'\"“”.,:;]")
STATUS_WORDS = {Status.GOOD: "good", Status.LOOK: "look", Status.BAD: "bad", Status.NONE: ""}


def render(template: str, **values: Any) -> str:
    """The page as HTML text; every value is escaped. `JobError` EXTRA_MISSING without Jinja2."""
    jinja2 = load_extra("jinja2", "report", "The report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template(template).render(version=__version__, **values)
    return page


def without_paths(text: str) -> str:
    """The text with an ellipsis for whatever looks like an absolute path, which may tell who is shown."""
    return _PATH.sub("…", text)


def as_data(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
