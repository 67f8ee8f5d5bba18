"""A result folder appears whole or not at all: it is written beside its place and renamed into it at the end."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import Code, JobError
from .filesystem import FileSystem, replace_file, this_system
from .result import MANIFEST

FOREIGN_AGE_SECONDS = 7 * 24 * 3600
_FULL_BYTES = 1 << 20
_PARTIAL, _REPLACED = "partial", "replaced"


@contextmanager
def staging(output: Path, overwrite: bool, system: FileSystem | None = None) -> Iterator[Path]:
    """A hidden folder beside `output` that becomes `output` when the block ends, and vanishes when the block fails.

    What killed processes left beside `output` is cleared first. With `overwrite` an earlier result at `output` is
    replaced as a whole; a folder that holds anything but a result is never replaced, an empty one always.

    Args:
        output: the folder to make; missing parents are made, and unmade on failure.
        overwrite: whether an earlier result may be replaced.
        system: the operating system's branch; this machine's where None.

    Raises:
        JobError: OUTPUT_EXISTS, OUTPUT_UNWRITABLE or DISK_FULL.
    """
    system = system or this_system()
    output = output.resolve()
    check_output(output, overwrite)
    made: list[Path] = []
    try:
        made = missing_parents(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(output, system)
        partial = _sibling(output, _PARTIAL)
        partial.mkdir()
    except OSError as problem:
        remove_empty(made)
        raise _unwritable(output, problem) from problem
    try:
        yield partial
        check_output(output, overwrite)
        _publish(partial, output, system)
    except BaseException as problem:
        full = _means_full(problem, output.parent)
        system.remove(partial)
        remove_empty(made)
        if full:
            raise _disk_full(output) from problem
        raise


def check_output(output: Path, overwrite: bool) -> None:
    """Refuse an `output` that exists and may not be replaced (`JobError` OUTPUT_EXISTS or OUTPUT_UNWRITABLE)."""
    try:
        if not output.exists():
            return
        if not output.is_dir():
            raise JobError(Code.OUTPUT_EXISTS, f"The output {output} is a file.", "Name a folder.")
        if output.is_mount():
            raise JobError(
                Code.OUTPUT_UNWRITABLE,
                f"The output {output} is the top folder of a disk, which cannot be renamed.",
                "Name a folder inside it.",
            )
        if not any(output.iterdir()):
            return
        is_result = (output / MANIFEST).is_file()
    except OSError as problem:
        raise _unwritable(output, problem) from problem
    if not is_result:
        raise JobError(
            Code.OUTPUT_EXISTS,
            f"The output folder {output} holds files that are no result of JointRegSeg.",
            "Name another folder; only an earlier result is ever replaced.",
        )
    if not overwrite:
        raise JobError(
            Code.OUTPUT_EXISTS,
            f"The output folder {output} already holds a result.",
            "Name another folder, or allow overwriting.",
        )


def clear_leftovers(output: Path, system: FileSystem | None = None, dead: int | None = None) -> None:
    """Remove what killed processes left beside `output`, and put back an earlier result they had moved aside.

    Args:
        output: the folder whose siblings are looked at.
        system: the operating system's branch; this machine's where None.
        dead: a process of this machine that is known to have ended, even if its number still looks alive.
    """
    system = system or this_system()
    output = output.resolve()
    pattern = re.compile(re.escape(f".{output.name}.") + rf"({_PARTIAL}|{_REPLACED})-([0-9a-f]{{8}})-(\d+)-[0-9a-f]+")
    try:
        siblings = sorted(output.parent.iterdir())
    except OSError:
        return
    for sibling in siblings:
        match = pattern.fullmatch(sibling.name)
        if match is None or not _is_abandoned(sibling, match[2], int(match[3]), system, dead):
            continue
        if match[1] == _REPLACED and not output.exists():
            system.rename(sibling, output)
        else:
            system.remove(sibling)


def replace_folder(new: Path, old: Path, system: FileSystem) -> None:
    """Put the folder `new` in the place of `old`, which need not exist; on failure `old` is back (`OSError`)."""
    if not old.exists():
        system.rename(new, old)
        return
    aside = _sibling(old, _REPLACED)
    system.rename(old, aside)
    try:
        system.rename(new, old)
    except BaseException:
        system.rename(aside, old)
        raise
    system.remove(aside)


def missing_parents(output: Path) -> list[Path]:
    """The folders above `output` that do not exist yet, outermost first."""
    return [folder for folder in reversed(output.parents) if not folder.exists()]


def remove_empty(folders: list[Path]) -> None:
    """Remove those of nested folders, outermost first, that are empty."""
    for folder in reversed(folders):
        try:
            folder.rmdir()
        except OSError:
            return


def _publish(partial: Path, output: Path, system: FileSystem) -> None:
    try:
        replace_folder(partial, output, system)
    except OSError as problem:
        raise _unwritable(output, problem) from problem


def _sibling(output: Path, purpose: str) -> Path:
    return output.with_name(f".{output.name}.{purpose}-{_host()}-{os.getpid()}-{secrets.token_hex(4)}")


def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _is_abandoned(folder: Path, host: str, pid: int, system: FileSystem, dead: int | None) -> bool:
    if host == _host():
        return pid == dead or not (pid == os.getpid() or system.alive(pid))
    try:
        return time.time() - folder.stat().st_mtime > FOREIGN_AGE_SECONDS
    except OSError:
        return False


def _means_full(problem: BaseException, folder: Path) -> bool:
    """Whether a failure was a full disk; image writers say only that writing failed, so the free space is asked."""
    if isinstance(problem, JobError) and problem.code in (Code.CANCELLED, Code.DISK_FULL):
        return False
    if isinstance(problem, OSError) and is_disk_full(problem):
        return True
    try:
        return isinstance(problem, Exception) and shutil.disk_usage(folder).free < _FULL_BYTES
    except OSError:
        return False


def is_disk_full(problem: OSError) -> bool:
    """Whether an `OSError` says that no space, or no quota, is left."""
    return problem.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)) or getattr(problem, "winerror", 0) == 112


def unwritable(path: Path, problem: OSError) -> JobError:
    """The error for a file that cannot be written or removed: DISK_FULL or OUTPUT_UNWRITABLE."""
    if is_disk_full(problem):
        return _disk_full(path)
    return JobError(
        Code.OUTPUT_UNWRITABLE,
        f"The file {path} cannot be written: {problem.strerror or problem}.",
        "Check its permissions and that its disk is there, or name another file.",
    )


def write_whole(path: Path, text: str) -> None:
    """Put a text file in the place of an earlier one at once, or leave that alone; `JobError` as of `unwritable`."""
    partial = _sibling(path, _PARTIAL)
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        replace_file(partial, path)
    except OSError as problem:
        partial.unlink(missing_ok=True)
        raise unwritable(path, problem) from problem


def _disk_full(output: Path) -> JobError:
    return JobError(
        Code.DISK_FULL, f"The disk that holds {output.parent} is full.", "Free some space or name another folder."
    )


def _unwritable(output: Path, problem: OSError) -> JobError:
    if is_disk_full(problem):
        return _disk_full(output)
    return JobError(
        Code.OUTPUT_UNWRITABLE,
        f"The output folder {output} cannot be written: {problem.strerror or problem}.",
        "Check its permissions and that its disk is there, or name another folder.",
    )
