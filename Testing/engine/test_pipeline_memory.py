"""Memory: what the system says on each platform, what a run is predicted to take, and what happens when it is short."""

from __future__ import annotations

import ctypes
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from JointRegSegLib.job import Code, JobError, Quality, Similarity
from JointRegSegLib.job.result import LABELS
from JointRegSegLib.phantom import PhantomFiles, write_pair
from JointRegSegLib.pipeline.machine import free_memory, peak_memory, windows_free, windows_peak
from JointRegSegLib.pipeline.memory import BASE, Budget, predicted_peak
from JointRegSegLib.pipeline.placing import placed, slabs
from JointRegSegLib.service.launch import worker_environment
from JointRegSegLib.volumes import Grid, read_label_map, read_volume
from Testing.engine.pipeline_cases import Told, mean_dice, request_for, run_quietly

ROOT = Path(__file__).resolve().parents[2]


def test_a_short_memory_means_coarser_voxels_and_says_so(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    voxels = math.prod(told.result.manifest["working_size"])
    inputs = read_volume(files.target).array.size + read_volume(files.atlas).array.size
    allowed = predicted_peak(inputs, 0.25 * voxels, costly=False) / 1e9
    found = run_quietly(request_for(files, tmp_path / "out", memory_gb=allowed))
    assert f"{allowed:.1f} GB" in found.cautions["memory"]
    assert [c.code for c in found.result.quality.cautions] == ["memory"]
    manifest = found.result.manifest
    assert min(manifest["working_spacing_mm"]) > 1.3 * min(told.result.manifest["working_spacing_mm"])
    assert math.prod(manifest["working_size"]) < 0.6 * voxels
    labels = read_label_map(found.result.path(LABELS))
    assert labels.grid.same_as(read_volume(files.target).grid, 1e-5)
    assert mean_dice(labels.array, read_label_map(files.target_labels).array) > 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="measures the worker as it runs on Linux")
@pytest.mark.parametrize("masked", [False, True])
def test_a_run_takes_what_was_predicted(tmp_path: Path, masked: bool) -> None:
    """What a worker takes beyond PyTorch itself, at 72 voxels across."""
    files = write_pair(tmp_path, size=72)
    mask = files.atlas_labels if masked else None
    request = request_for(files, tmp_path / "out", atlas_mask=mask, threads=2, quality=Quality.FAST)
    (tmp_path / "request.json").write_text(request.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "JointRegSegLib.service.worker", "--request", str(tmp_path / "request.json")]
    environment = worker_environment({}, sys.executable)
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    quality = json.loads((tmp_path / "out" / "quality.json").read_text(encoding="utf-8"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    peak = max(step["peak_mb"] for step in quality["steps"]) * 1e6
    inputs = read_volume(files.target).array.size + read_volume(files.atlas).array.size
    predicted = predicted_peak(inputs, math.prod(manifest["working_size"]), masked)
    assert 0.5 * (predicted - BASE) < peak - BASE < 1.2 * (predicted - BASE)


def _scan(voxels: int) -> Any:
    """As much of a scan as a budget looks at."""

    class Scan:
        image = torch.empty(voxels, device="meta")
        cut, weight = False, None

    return Scan()


def test_scans_that_cannot_fit_are_refused_before_anything_is_computed(files: PhantomFiles, tmp_path: Path) -> None:
    request = request_for(files, tmp_path / "out", memory_gb=8)
    with pytest.raises(JobError) as caught:
        Budget.of(request, _scan(100_000_000), _scan(50_000_000), torch.device("cpu"))
    assert caught.value.code is Code.OUT_OF_MEMORY
    assert "10.11 GB of memory; 8.00 GB" in caught.value.message
    roomy = Budget.of(replace(request, memory_gb=None), _scan(1000), _scan(1000), torch.device("cpu"))
    assert roomy.allowed > peak_memory()


def test_a_working_grid_that_cannot_fit_is_refused() -> None:
    with pytest.raises(JobError) as caught:
        Budget(400e6, 399e6, weighted=False).working_grid(_scan(1000), 1e6, Similarity.LNCC)
    assert caught.value.code is Code.OUT_OF_MEMORY


def test_this_system_tells_its_memory() -> None:
    assert 30e6 < peak_memory() < 1e12
    assert 10e6 < free_memory() < 1e14


@pytest.mark.skipif(sys.platform == "win32", reason="Windows tells it elsewhere")
def test_the_peak_is_the_process_s_own_where_linux_tells_it(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text("Name:\tpython\nVmPeak:\t9000 kB\nVmHWM:\t5000 kB\n", encoding="utf-8")
    assert peak_memory(tmp_path) == 5000 * 1024
    assert peak_memory(tmp_path / "nowhere") > 30e6


def test_control_groups_leave_what_the_tightest_of_them_leaves(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 64000000 kB\nMemAvailable: 32000000 kB\n")
    assert free_memory(proc, groups) == 32e6 * 1024
    (proc / "self/cgroup").write_text("1:name=systemd:/\n0::/batch/job_7\n")
    for folder, limit, used in (("", None, None), ("batch", "8000000000", "5000000000"), ("batch/job_7", "max", "9")):
        (groups / folder).mkdir(parents=True, exist_ok=True)
        if limit:
            (groups / folder / "memory.max").write_text(f"{limit}\n")
            (groups / folder / "memory.current").write_text(f"{used}\n")
    assert free_memory(proc, groups) == 3e9


class _Kernel:
    """kernel32 with 3 GB free and a process that has held 2 GB; writes what the real one documents, where it does."""

    class _Handle:
        restype: Any = None

        def __call__(self) -> int:
            return -1

    def __init__(self, works: bool) -> None:
        self.works, self.GetCurrentProcess = works, self._Handle()

    def K32GetProcessMemoryInfo(self, process: Any, counters: Any, size: int) -> int:  # noqa: N802
        assert size == (72 if ctypes.sizeof(ctypes.c_void_p) == 8 else 40)
        ctypes.c_size_t.from_address(ctypes.addressof(counters._obj) + 8).value = 2_000_000_000
        return int(self.works)

    def GlobalMemoryStatusEx(self, status: Any) -> int:  # noqa: N802
        assert ctypes.c_uint32.from_address(ctypes.addressof(status._obj)).value == 64
        ctypes.c_uint64.from_address(ctypes.addressof(status._obj) + 16).value = 3_000_000_000
        return int(self.works)


def test_windows_tells_its_memory() -> None:
    assert windows_peak(_Kernel(works=True)) == 2e9
    assert windows_free(_Kernel(works=True)) == 3e9
    assert windows_peak(_Kernel(works=False)) == 0
    assert windows_free(_Kernel(works=False)) == math.inf


def test_slabs_cover_a_grid_once_and_in_place() -> None:
    grid = Grid((7, 5, 43), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    parts = list(slabs(grid, voxels=300))
    assert [(part.start, part.stop) for part, _ in parts] == [(0, 8), (8, 16), (16, 24), (24, 32), (32, 40), (40, 43)]
    assert all(lattice.size == (7, 5, part.stop - part.start) for part, lattice in parts)
    assert all(lattice.origin == tuple(grid.to_lps((0, 0, part.start))) for part, lattice in parts)


def test_only_one_lattice_in_two_orders_can_be_placed() -> None:
    with pytest.raises(ValueError, match="shape"):
        placed(np.zeros((2, 3, 4)), Grid((4, 3, 2)), Grid((4, 3, 5)))
