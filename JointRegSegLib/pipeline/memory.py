"""How large a working grid the memory allows."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from ..job import Code, JobError, Request, Similarity
from ..registration import Preset
from .prepare import Inputs
from .progress import Progress

BYTES_BASE = 400e6
BYTES_PER_INPUT_VOXEL = 60.0
BYTES_PER_WORKING_VOXEL = 130.0
BYTES_PER_WORKING_VOXEL_MIND = 280.0
_SHARE_OF_FREE = 0.8
_LEAST_VOXELS = 20e3


def affordable_voxels(
    request: Request, inputs: Inputs, preset: Preset, device: torch.device, progress: Progress
) -> float:
    """The most voxels that the working grid may have: the preset's, or fewer where memory is short.

    Raises `JobError` OUT_OF_MEMORY where even a coarse grid would not fit.
    """
    per_voxel = BYTES_PER_WORKING_VOXEL_MIND if request.similarity is Similarity.MIND else BYTES_PER_WORKING_VOXEL
    fixed_cost = BYTES_BASE + BYTES_PER_INPUT_VOXEL * (inputs.target.array.size + inputs.atlas.array.size)
    allowed = request.memory_gb * 1e9 if request.memory_gb is not None else _SHARE_OF_FREE * free_memory(device)
    affordable = (allowed - fixed_cost * (device.type == "cpu")) / per_voxel
    if affordable < _LEAST_VOXELS:
        raise JobError(
            Code.OUT_OF_MEMORY,
            f"These scans need at least {(fixed_cost + _LEAST_VOXELS * per_voxel) / 1e9:.1f} GB of memory; "
            f"{allowed / 1e9:.1f} GB may be used.",
            "Close other programs, crop the scans, or allow more memory.",
        )
    needed = min(float(inputs.target_scan.foreground.sum()) * 1.5, preset.most_voxels)
    if affordable < needed:
        progress.caution(
            "memory",
            f"The memory ({allowed / 1e9:.1f} GB may be used) is short for the full resolution; "
            "the registration works on coarser voxels.",
        )
    return min(preset.most_voxels, affordable)


def free_memory(device: torch.device) -> float:
    """Bytes that can still be taken on a device; without limit where the system does not say."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return float("inf")
