"""A run as plain text for an issue or a mail, without what could tell whose scan it was."""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..job import JobError, Result
from .summary import RESEARCH_USE

_TEMPORARY = "TMP/"
_START = r"(?:(?<![A-Za-z])[A-Za-z]:[\\/]|\\\\|~[\\/]|TMP/|(?<![\w.~:/])/)"
_FOLDERS = r"""(?:[^\s\\/:~"“”;|<>](?:[^\\/:~"“”;|<>\n]*[^\s\\/:~"“”;|<>])?[\\/])*"""
_PATH = re.compile(_START + _FOLDERS + r"""[^\s"'“”;|<>]+""")


def report(
    result: Result | None, error: JobError | None, notes: list[str], torch: str, files: Sequence[Path] = ()
) -> str:
    """Versions, settings, quality and error. Paths are cut, no node is named.

    Args:
        result, error: of the run.
        notes: what else was said of it.
        torch: one line about PyTorch.
        files: that the user chose; nothing but their kind is told.
    """
    lines = [f"JointRegSeg {__version__}, Python {platform.python_version()}, {platform.platform()}", torch]
    lines.append(RESEARCH_USE)
    if error is not None:
        lines.append(f"Error {error.code.value}: {error}")
    if result is not None:
        # Digests name nobody, but would tell that two reports are of the same scan.
        facts = {key: value for key, value in _flat(result.manifest).items() if not key.endswith("_digest")}
        lines += [f"{key}: {value}" for key, value in sorted(facts.items())]
        lines += ["\t".join(row) for row in result.quality.rows()]
    text = "\n".join([*lines, *notes])
    for file in files:  # their names may hold spaces, at which a path in a sentence would seem to end
        text = text.replace(str(file), _cut(str(file)))
    return hide_names(shorten_paths(text)) + "\n"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def hide_names(text: str) -> str:
    """The text without what messages quote: names of nodes and segments, which may be a patient's."""
    return re.sub("“[^”]*”", "“...”", text)


def shorten_paths(text: str) -> str:
    """The text with every path cut: folders go, and of files the kind stays; both may be called after a patient.

    Files in the temporary folder were named by a run, and keep their names.
    """
    text = re.sub(r"(?<!\w)" + re.escape(tempfile.gettempdir()) + r"[\\/]?", _TEMPORARY, text)
    return _PATH.sub(lambda found: _cut(found[0]), text)


def _cut(path: str) -> str:
    """A path as far as it tells nothing of a person; a full stop or a bracket after it stays."""
    whole = path.rstrip(".,:)")
    name = re.split(r"[\\/]", whole)[-1]
    if not whole.startswith(_TEMPORARY) and not name.startswith("python"):
        name = "*.nii.gz" if name.endswith(".nii.gz") else f"*{Path(name).suffix}"
    start = _TEMPORARY if whole.startswith(_TEMPORARY) else ""
    return f"{start}.../{name}{path[len(whole) :]}"
