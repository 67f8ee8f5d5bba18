"""Opening a library wherever it lies: a folder is used as it is, a .zip is unpacked once."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ..job import Code, JobError
from ..job.folders import staging
from .manifest import MANIFEST, Library, invalid, read_library, sha256
from .places import user_folder

UNPACKED = "libraries"


def open_library(path: Path) -> Library:
    """The library in a folder or a .zip.

    A .zip is unpacked into the user's folder under its checksum, whole or not at all, and found there afterwards.

    Raises:
        JobError: LIBRARY_MISSING, LIBRARY_INVALID, OUTPUT_UNWRITABLE or DISK_FULL.
    """
    path = Path(path).absolute()
    if not path.is_file():
        return read_library(path)
    try:
        folder = user_folder() / UNPACKED / sha256(path)[:16]
        if not (folder / MANIFEST).is_file():
            _unpack(path, folder)
    except (OSError, zipfile.BadZipFile) as problem:
        raise invalid(path, f"it is no .zip that can be unpacked ({problem})") from problem
    return read_library(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as packed, staging(folder, overwrite=False) as partial:
            packed.extractall(partial)
            read_library(partial)
    except JobError as problem:
        # Another process may have been quicker.
        if problem.code is not Code.OUTPUT_EXISTS or not (folder / MANIFEST).is_file():
            raise
