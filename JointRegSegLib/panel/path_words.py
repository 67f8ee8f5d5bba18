"""Paths in a text for others: neither folders nor the names of files are told, for both may be called after a patient.

Of a file its kind is told, where it is one of those that occur here, and of an interpreter its name. Files in the
temporary folder were named by a run, and keep their names, unless the user chose them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

_KINDS = (  # of two endings the longer one first
    *("seg.nrrd", "nii.gz", "nii", "nrrd", "nhdr", "mha", "mhd", "dcm", "tfm", "h5"),
    *("fcsv", "csv", "ctbl", "mrk.json", "json", "toml", "safetensors", "py", "log", "txt", "html", "png", "zip"),
)
_INTERPRETER = re.compile(r"python[\d.]*(\.exe)?", re.IGNORECASE)
_TEMPORARY = "TMP/"
_START = (
    r"(?:file:[\\/]+(?:[A-Za-z]:[\\/])?|(?<![A-Za-z])[A-Za-z]:[\\/]|(?<![\w.~\\/])\\{1,2}(?=\w)|(?<!\w)~\w*[\\/]"
    r"|TMP/|(?<![\w.~])\.{1,2}[\\/]|(?<![\w.~:/])/|(?<=[^\W\d]:)/(?!/))"
)
_REST = r"""(?:[^\s\\/:~"“”;|<>](?:[^\\/:~"“”;|<>\n]*[^\s\\/:~"“”;|<>])?[\\/])*[^\s"'“”;|<>]"""
_PATH = re.compile(_START + _REST + "+")
_QUOTED_PATH = re.compile(rf"""(?<!\w)(["'])({_START}(?:(?!\1).)*)\1""")


def shorten_paths(text: str, files: Sequence[Path] = ()) -> str:
    """The text with every path cut.

    Args:
        files: whose paths may hold anything, such as spaces, at which a path in a sentence would seem to end.
    """
    text = _plain(text)
    for file in sorted((_plain(str(file)) for file in files), key=len, reverse=True):
        text = re.sub(re.escape(file) + _REST + "*", lambda found: f".../{_kind(found[0])}{_after(found[0])}", text)
    text = re.sub(r"(?<!\w)" + re.escape(_plain(tempfile.gettempdir())) + r"[\\/]?", _TEMPORARY, text)
    text = _QUOTED_PATH.sub(lambda found: f"{found[1]}{_cut(found[2])}{found[1]}", text)
    return _PATH.sub(lambda found: _cut(found[0]), text)


def _plain(text: str) -> str:
    r"""Without the doubled backslashes in which Python quotes a path, as 'C:\\Users'."""
    return text.replace("\\\\", "\\")


def _cut(path: str) -> str:
    if path.startswith(_TEMPORARY):
        return f"{_TEMPORARY}.../{_name(path)}{_after(path)}"
    return f".../{_kind(path)}{_after(path)}"


def _kind(path: str) -> str:
    name = _name(path)
    if _INTERPRETER.fullmatch(name):
        return name
    return next((f"*.{kind}" for kind in _KINDS if name.lower().endswith(f".{kind}")), "*")


def _name(path: str) -> str:
    return re.split(r"[\\/]", path[: len(path) - len(_after(path))])[-1]


def _after(path: str) -> str:
    """The full stop or the bracket after a path."""
    return path[len(path.rstrip(".,:)")) :]
