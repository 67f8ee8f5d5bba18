"""What the probe tells where another library than PyTorch is broken or missing, or Python is too old."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import tomllib

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.service import prober, requirements
from JointRegSegLib.service.prober import describe


class Broken(ModuleType):
    """As scipy beside a numpy that it was not built for."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError("numpy.dtype size changed, may indicate binary incompatibility.")


def test_free_memory_is_unknown_where_a_library_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "JointRegSegLib.pipeline.machine", Broken("machine"))
    absent = SimpleNamespace(is_available=lambda: False)
    backends = SimpleNamespace(mps=absent)
    torch = SimpleNamespace(get_num_threads=lambda: 2, cuda=absent, backends=backends, __version__="2.9.0")
    found = describe(torch).data
    assert found["version"] == "2.9.0"
    assert [(device["kind"], device["free_gb"]) for device in found["devices"]] == [("cpu", None)]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hides libraries by their names."""
    found = importlib.util.find_spec

    def hide(*names: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else found(name))

    return hide


def told() -> JobError:
    with pytest.raises(JobError) as caught:
        prober.load()
    assert requirements.NEEDED in caught.value.advice
    return caught.value


def test_all_libraries_that_a_python_lacks_are_told_at_once(without: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "load_torch", lambda: "torch")
    assert prober.load() == "torch"
    without("scipy", "SimpleITK")
    assert told().code is Code.WORKER_NOT_STARTED
    assert told().message == f"{sys.executable} lacks scipy, SimpleITK."


def test_an_old_python_is_told_even_where_nothing_is_missing(without: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "load_torch", lambda: "torch")
    monkeypatch.setattr(requirements, "MINIMUM", (3, 99))
    here = f"{sys.executable} is Python 3.{sys.version_info[1]}"
    assert told().message == f"{here}."
    without("numpy")
    assert told().message == f"{here} and lacks numpy."


def test_a_missing_pytorch_is_told_with_what_else_is_missing(without: Any) -> None:
    without("torch", "scipy")
    assert told().code is Code.TORCH_MISSING
    assert told().message == f"PyTorch is not installed in {sys.executable}, which lacks scipy."


def test_what_a_python_needs_is_what_the_project_declares() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={'.'.join(map(str, requirements.MINIMUM))}"
    declared = {re.split("[<>=~]", each)[0] for each in project["dependencies"]}
    assert declared == {*requirements.LIBRARIES, "torch", "safetensors"}
