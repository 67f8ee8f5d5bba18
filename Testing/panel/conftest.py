"""Fixtures for tests of the panel: a scene, the module in a window, and a worker that does what the test says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from JointRegSegLib.job import Request, Result
from Testing.rig.need import need

if TYPE_CHECKING:
    from types import ModuleType

    from Testing.panel.fakes import FakeJob
    from Testing.scene.results import FinishedRun


@pytest.fixture
def scene(a_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty scene, the stand-ins of what is Qt in Slicer, and a user who has neither models nor settings."""
    need("PySide6.QtWidgets", "PySide6-Essentials, libegl1, libgl1, libxkbcommon0, libdbus-1-3")
    import slicer

    from Testing.rig import gui
    from Testing.rig.pythonqt import qt

    gui.install()
    gui.add_events(slicer.app)
    qt.QSettings().clear()
    monkeypatch.setenv("JOINTREGSEG_HOME", str(tmp_path / "home"))
    return a_scene


@pytest.fixture
def module(scene: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """JointRegSeg.py as Slicer would run it; nobody asks a process how much memory a run takes."""
    from JointRegSegLib.service.forecast import Forecast
    from Testing.rig import gui

    monkeypatch.setattr("JointRegSegLib.panel.memory_line.forecast", lambda asked, python=None: Forecast(1.25, 8.0))
    return gui.load_module()


@pytest.fixture
def fake_job(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The worker that every run gets; the test decides what it says."""
    from Testing.panel.fakes import FakeJob

    job = FakeJob()
    monkeypatch.setattr("JointRegSegLib.panel.run_session.client.start", job.start)
    return job


@pytest.fixture
def jobs(module: Any, monkeypatch: pytest.MonkeyPatch) -> list[FakeJob]:
    """The workers that were started, each with a mind of its own."""
    from Testing.panel.fakes import FakeJob

    started: list[FakeJob] = []

    def start(request: Request, python: str | None = None, work_folder: Path | None = None) -> FakeJob:
        started.append(FakeJob())
        return started[-1].start(request, python, work_folder)

    monkeypatch.setattr("JointRegSegLib.panel.run_session.client.start", start)
    return started


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the error boxes that were shown."""
    shown: list[str] = []
    monkeypatch.setattr("slicer.util.errorDisplay", lambda text, detailedText="": shown.append(text))
    return shown


@pytest.fixture
def widget(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module's widget in a window, all its sections open; PyTorch counts as found."""
    from JointRegSegLib.service.client import TorchDevice, TorchState
    from Testing.rig import gui

    state = TorchState("2.13.0", (TorchDevice("cpu", "CPU, 2 threads", 3.2),))
    monkeypatch.setattr("JointRegSegLib.panel.widget.probe", lambda python=None: state)
    made = gui.open_widget(module)
    gui.unfold(made)
    yield made
    gui.close_widget(made)


@pytest.fixture
def make_nodes(scene: Any) -> Callable[[], tuple[Any, Any, Any]]:
    """Makes an atlas, its labels and a target on the grids of the finished run."""
    import slicer.util

    from JointRegSegLib.volumes import Grid
    from Testing.scene.results import ATLAS_GRID, TARGET_GRID

    def make() -> tuple[Any, Any, Any]:
        labels = np.zeros(ATLAS_GRID.shape, np.int16)
        labels[2:6, 2:6, 2:6] = 1

        def add(array: Any, grid: Grid, name: str, kind: str = "vtkMRMLScalarVolumeNode") -> Any:
            return slicer.util.addVolumeFromArray(array, np.diag((-1.0, -1.0, 1.0, 1.0)) @ grid.matrix, name, kind)

        return (
            add(_noise(ATLAS_GRID.shape), ATLAS_GRID, "atlas"),
            add(labels, ATLAS_GRID, "labels", "vtkMRMLLabelMapVolumeNode"),
            add(_noise(TARGET_GRID.shape), TARGET_GRID, "target"),
        )

    return make


def _noise(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(0).random(shape).astype(np.float32)


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


@pytest.fixture
def a_result(the_run: FinishedRun, tmp_path: Path) -> Result:
    """A finished run on disk, for this test to do with as it likes."""
    return Result(Path(shutil.copytree(the_run.result.folder, tmp_path / "result")))
