"""What the probe tells where another library than PyTorch is broken."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

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
