"""Fixtures for tests of the panel: a scene, the module in a window, and a worker that does what the test says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from Testing.rig.need import need

if TYPE_CHECKING:
    from types import ModuleType

    from Testing.rig.mrml import Rig


@pytest.fixture(scope="session")
def the_rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Slicer's libraries and the Qt stand-ins, set up once for the whole run."""
    need("slicer", "slicer-core")
    need("PySide6.QtWidgets", "PySide6-Essentials, libegl1, libgl1, libxkbcommon0, libdbus-1-3")
    from Testing.rig import gui
    from Testing.rig.mrml import Rig

    rig = Rig(tmp_path_factory.mktemp("rig"))
    gui.install()
    return rig


@pytest.fixture
def scene(the_rig: Rig) -> Iterator[Any]:
    """An empty scene."""
    import slicer

    from Testing.rig import gui

    gui.add_events(slicer.app)
    the_rig.clear()
    yield the_rig.scene
    the_rig.clear()


@pytest.fixture
def module(scene: Any) -> ModuleType:
    """JointRegSeg.py as Slicer would run it."""
    from Testing.rig import gui

    return gui.load_module()


@pytest.fixture
def fake_job(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The worker that every run gets; the test decides what it says."""
    from Testing.panel.fakes import FakeJob

    job = FakeJob()
    monkeypatch.setattr("JointRegSegLib.panel.run_session.client.start", job.start)
    return job


@pytest.fixture
def widget(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module's widget in a window; PyTorch counts as found."""
    from JointRegSegLib.service.client import TorchDevice, TorchState
    from Testing.rig import gui

    state = TorchState("2.13.0", (TorchDevice("cpu", "CPU, 2 threads", 3.2),))
    monkeypatch.setattr("JointRegSegLib.panel.widget.probe", lambda: state)
    made = gui.open_widget(module)
    yield made
    gui.close_widget(made)


@pytest.fixture
def make_nodes(scene: Any) -> Callable[[], tuple[Any, Any, Any]]:
    """Makes an atlas, its labels and a target, 8 x 9 x 10 voxels each."""
    import slicer.util

    def make() -> tuple[Any, Any, Any]:
        random = np.random.default_rng(0)
        scan = random.random((10, 9, 8)).astype(np.float32)
        labels = np.zeros((10, 9, 8), np.int16)
        labels[2:6, 2:6, 2:6] = 1
        add = slicer.util.addVolumeFromArray
        return (
            add(scan, np.eye(4), "atlas"),
            add(labels, np.eye(4), "labels", "vtkMRMLLabelMapVolumeNode"),
            add(scan[::-1].copy(), np.eye(4), "target"),
        )

    return make


@pytest.fixture
def chosen(widget: Any, make_nodes: Callable[[], tuple[Any, Any, Any]]) -> tuple[Any, Any, Any]:
    """Atlas, labels and target, selected in the panel."""
    nodes = make_nodes()
    ui = widget.panel.ui
    for selector, node in zip(
        (ui.atlasVolumeSelector, ui.atlasLabelsSelector, ui.targetVolumeSelector), nodes, strict=True
    ):
        selector.setCurrentNode(node)
    return nodes


@pytest.fixture(scope="session")
def the_result(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run on disk, for tests that only read it."""
    from Testing.scene.results import finished_run

    return finished_run(tmp_path_factory.mktemp("run")).result


@pytest.fixture
def a_result(the_result: Any, tmp_path: Path) -> Any:
    """A finished run on disk, for this test to do with as it likes."""
    return type(the_result)(Path(shutil.copytree(the_result.folder, tmp_path / "result")))
