"""What Slicer's process imports has to come up where PyTorch is absent, and start quickly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
import {module}
loaded = [name for name in sys.modules if name.split(".")[0] in {blocked}]
assert not loaded, loaded
"""
HEAVY = {"torch", "safetensors"}


def _import(module: str, blocked: set[str]) -> subprocess.CompletedProcess[str]:
    code = BLOCKED.format(module=module, blocked=blocked)
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "module",
    ["cli", "demo", "job", "phantom", "report.overview", "service.client", "volumes"],
)
def test_a_torch_free_module_imports_where_torch_is_blocked(module: str) -> None:
    done = _import(f"JointRegSegLib.{module}", HEAVY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["job", "service.client"])
def test_whoever_starts_a_run_needs_the_standard_library_alone(module: str) -> None:
    done = _import(f"JointRegSegLib.{module}", HEAVY | {"numpy", "scipy", "SimpleITK", "matplotlib", "tqdm"})
    assert done.returncode == 0, done.stderr


def test_the_block_blocks() -> None:
    assert "torch is blocked" in _import("JointRegSegLib.fields", HEAVY).stderr
