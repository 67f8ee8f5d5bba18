"""What a folder's rename and a process's life mean on POSIX and on Windows. Nothing here runs at import."""

from __future__ import annotations

import ntpath
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class FileSystem(Protocol):
    """The operations that staging needs from an operating system."""

    def rename(self, old: Path, new: Path) -> None:
        """Give a folder a new name on the same disk; `OSError` where that fails."""

    def remove(self, folder: Path) -> None:
        """Delete a folder and what is in it; what cannot be deleted stays."""

    def alive(self, pid: int) -> bool:
        """Whether a process of this machine with this number runs; True where nobody can tell."""


class Posix:
    """Linux and macOS."""

    def __init__(
        self, rename: Callable[[str, str], None] = os.rename, kill: Callable[[int, int], None] = os.kill
    ) -> None:
        self._rename = rename
        self._kill = kill

    def rename(self, old: Path, new: Path) -> None:
        """See `FileSystem`."""
        self._rename(str(old), str(new))

    def remove(self, folder: Path) -> None:
        """See `FileSystem`."""
        shutil.rmtree(folder, ignore_errors=True)

    def alive(self, pid: int) -> bool:
        """See `FileSystem`."""
        try:
            self._kill(pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):
            return True
        return True


class Windows:
    """Windows: virus scanners hold fresh files for moments, and paths over 260 characters need a prefix."""

    ATTEMPTS = 20
    PAUSE_SECONDS = 0.1

    def __init__(
        self,
        rename: Callable[[str, str], None] = os.rename,
        remove: Callable[[str], None] = shutil.rmtree,
        alive: Callable[[int], bool] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rename = rename
        self._remove = remove
        self._alive = alive or _windows_process_runs
        self._sleep = sleep

    def rename(self, old: Path, new: Path) -> None:
        """See `FileSystem`; tries again for two seconds while something holds the folder."""
        for _ in range(self.ATTEMPTS - 1):
            try:
                return self._rename(long_path(str(old)), long_path(str(new)))
            except PermissionError:
                self._sleep(self.PAUSE_SECONDS)
        self._rename(long_path(str(old)), long_path(str(new)))

    def remove(self, folder: Path) -> None:
        """See `FileSystem`; tries again for two seconds while something holds a file."""
        for _ in range(self.ATTEMPTS):
            try:
                return self._remove(long_path(str(folder)))
            except FileNotFoundError:
                return None
            except OSError:
                self._sleep(self.PAUSE_SECONDS)

    def alive(self, pid: int) -> bool:
        """See `FileSystem`."""
        return self._alive(pid)


def this_system() -> FileSystem:
    """The branch for the machine we run on."""
    return Windows() if os.name == "nt" else Posix()


def replace_file(new: Path, old: Path) -> None:
    """Put the file `new` in the place of `old`, which need not exist, at once; `OSError` where that fails."""
    system = Windows(rename=os.replace) if os.name == "nt" else Posix(rename=os.replace)
    system.rename(new, old)


def long_path(path: str) -> str:
    r"""A Windows path in the \\?\ form, which the 260-character limit does not hold for."""
    if path.startswith("\\\\?\\"):
        return path
    whole = ntpath.normpath(path) if ntpath.isabs(path) else ntpath.abspath(path)
    return "\\\\?\\UNC\\" + whole[2:] if whole.startswith("\\\\") else "\\\\?\\" + whole


def _windows_process_runs(pid: int) -> bool:
    # os.kill(pid, 0) would send a Ctrl-C there, so the kernel is asked.
    import ctypes

    query_limited_information, still_active, invalid_parameter = 0x1000, 259, 87
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        return bool(ctypes.get_last_error() != invalid_parameter)  # type: ignore[attr-defined,unused-ignore]
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(ctypes.c_void_p(handle), ctypes.byref(code))
    kernel.CloseHandle(ctypes.c_void_p(handle))
    return not known or code.value == still_active
