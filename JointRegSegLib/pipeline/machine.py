"""What memory this process has taken and may still take, asked of the operating system."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def peak_memory(proc: Path = _PROC) -> float:
    """The most bytes of memory that this process has held so far.

    Args:
        proc: where Linux tells; for tests.
    """
    if sys.platform == "win32":
        return windows_peak(ctypes.WinDLL("kernel32"))
    try:
        # `getrusage` begins, on Linux, with the peak of the process that started this one.
        lines = (proc / "self/status").read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) if sys.platform == "darwin" else peak * 1024.0


def free_memory(proc: Path = _PROC, groups: Path = _GROUPS) -> float:
    """Bytes that this process can still take before the system or its control group runs short.

    Half of all memory where the system tells no more than that; without limit where it tells nothing.

    Args:
        proc, groups: where Linux tells; for tests.
    """
    if sys.platform == "win32":
        return windows_free(ctypes.WinDLL("kernel32"))
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        free = next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        return min(free, _left_in_group(proc, groups))
    except (OSError, StopIteration):
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return float("inf")


def _left_in_group(proc: Path, groups: Path) -> float:
    """What the control groups (version 2) of this process leave to it: containers and batch systems limit so."""
    left = float("inf")
    try:
        named = next(line[3:] for line in (proc / "self/cgroup").read_text().splitlines() if line.startswith("0::"))
        own = groups / named.lstrip("/")
        for group in (own, *own.parents):
            if group == groups.parent:
                break
            try:
                limit, used = ((group / f"memory.{what}").read_text().strip() for what in ("max", "current"))
            except OSError:
                continue
            if limit != "max":
                left = min(left, float(limit) - float(used))
    except (OSError, StopIteration, ValueError):
        pass
    return max(left, 0.0)


class _Counters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of the Windows API."""

    _fields_ = (
        ("cb", ctypes.c_uint32),
        ("PageFaultCount", ctypes.c_uint32),
        ("PeakWorkingSetSize", ctypes.c_size_t),
        ("WorkingSetSize", ctypes.c_size_t),
        ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
        ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
        ("PagefileUsage", ctypes.c_size_t),
        ("PeakPagefileUsage", ctypes.c_size_t),
    )


class _Status(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("dwLength", ctypes.c_uint32),
        ("dwMemoryLoad", ctypes.c_uint32),
        ("ullTotalPhys", ctypes.c_uint64),
        ("ullAvailPhys", ctypes.c_uint64),
        ("ullTotalPageFile", ctypes.c_uint64),
        ("ullAvailPageFile", ctypes.c_uint64),
        ("ullTotalVirtual", ctypes.c_uint64),
        ("ullAvailVirtual", ctypes.c_uint64),
        ("ullAvailExtendedVirtual", ctypes.c_uint64),
    )


def windows_peak(kernel: Any) -> float:
    """`peak_memory` on Windows, from its kernel32; 0 where the call fails."""
    counters = _Counters(cb=ctypes.sizeof(_Counters))
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    process = ctypes.c_void_p(kernel.GetCurrentProcess())
    if not kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb):
        return 0.0
    return float(counters.PeakWorkingSetSize)


def windows_free(kernel: Any) -> float:
    """`free_memory` on Windows, from its kernel32; without limit where the call fails."""
    status = _Status(dwLength=ctypes.sizeof(_Status))
    return float(status.ullAvailPhys) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else float("inf")
