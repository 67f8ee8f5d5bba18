"""PyTorch: shown before Run, never installed without a click, and its lack is explained."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError, Quality
from JointRegSegLib.library.places import user_folder
from JointRegSegLib.service.client import TorchDevice, TorchState
from JointRegSegLib.service.forecast import Ask, Forecast, forecast
from Testing.panel.test_lists import answer_files
from Testing.panel.test_method import write_package
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer  # noqa: E402

from Testing.rig import gui  # noqa: E402
from Testing.rig.clicks import click  # noqa: E402
from Testing.rig.pythonqt import qt  # noqa: E402

gui.install()
from JointRegSegLib.panel.remembered import remember  # noqa: E402
from JointRegSegLib.panel.setup_section import chosen_python  # noqa: E402

pytestmark = pytest.mark.gui

FOUND = TorchState("2.13.0", (TorchDevice("cpu", "CPU, 8 threads"), TorchDevice("cuda", "A card", 7.9, 8.0)))
MISSING = TorchState(error=JobError(Code.TORCH_MISSING, "PyTorch is not installed.", "Install it."))


@pytest.fixture
def opened(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[TorchState], Any]]:
    """Opens the module where PyTorch is in this state."""
    made: list[Any] = []

    def with_state(state: TorchState) -> Any:
        monkeypatch.setattr("JointRegSegLib.panel.widget.probe", lambda python=None: state)
        made.append(gui.open_widget(module))
        gui.unfold(made[-1])
        gui.wait_until(lambda: made[-1].panel.setup.state is not None)
        return made[-1].panel

    yield with_state
    for widget in made:
        gui.close_widget(widget)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the PyTorch extension was asked to install."""
    calls: list[tuple[Any, ...]] = []
    logic = SimpleNamespace(installTorch=lambda *arguments: calls.append(arguments))
    extension = ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = lambda: logic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    return calls


def test_what_was_found_is_shown(opened: Callable[[TorchState], Any]) -> None:
    panel = opened(FOUND)
    assert panel.ui.torchLabel.text == "PyTorch 2.13.0: CPU, 8 threads; A card (8 GB free)"
    assert not panel.ui.installTorchButton.visible


def test_without_pytorch_run_is_disabled_and_a_button_offers_it(
    opened: Callable[[TorchState], Any], installed: list[Any], chosen_in: Callable[[Any], None]
) -> None:
    panel = opened(MISSING)
    chosen_in(panel)
    assert panel.ui.installTorchButton.visible
    assert not panel.ui.runButton.enabled
    assert "PyTorch is not installed" in panel.ui.runButton.toolTip
    assert installed == []


def test_where_something_else_is_missing_it_is_told_and_pytorch_is_not_offered(
    opened: Callable[[TorchState], Any], chosen_in: Callable[[Any], None]
) -> None:
    panel = opened(TorchState(error=JobError(Code.WORKER_NOT_STARTED, "python lacks scipy.", "Install it.")))
    chosen_in(panel)
    assert not panel.ui.installTorchButton.visible
    assert not panel.ui.runButton.enabled
    assert "lacks scipy" in panel.ui.runButton.toolTip
    assert "lacks scipy" in panel.ui.torchLabel.text


def test_a_click_installs_through_the_extension_which_asks(
    opened: Callable[[TorchState], Any], installed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = opened(MISSING)
    monkeypatch.setattr(panel.setup, "_find", lambda: FOUND)
    click(panel.ui.installTorchButton)
    assert [call[0] for call in installed] == [True]
    gui.wait_until(lambda: not panel.ui.installTorchButton.visible)


def test_without_the_extension_the_way_to_it_is_told(
    opened: Callable[[TorchState], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    monkeypatch.setattr("slicer.util.errorDisplay", shown.append)
    click(opened(MISSING).ui.installTorchButton)
    assert len(shown) == 1
    assert "Extensions Manager" in shown[0]


@pytest.mark.parametrize("consent", [True, False])
def test_the_extension_is_installed_only_after_consent(
    opened: Callable[[TorchState], Any], monkeypatch: pytest.MonkeyPatch, consent: bool
) -> None:
    asked_for: list[str] = []
    manager = SimpleNamespace(installExtensionFromServer=lambda name: asked_for.append(name) or True)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    monkeypatch.setattr(slicer.app, "extensionsManagerModel", lambda: manager, raising=False)
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text: consent)
    click(opened(MISSING).ui.installTorchButton)
    assert asked_for == (["PyTorch"] if consent else [])


def test_a_failed_installation_is_told(
    opened: Callable[[TorchState], Any], installed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("no route to host")

    shown: list[str] = []
    monkeypatch.setattr("slicer.util.errorDisplay", shown.append)
    panel = opened(MISSING)
    monkeypatch.setattr(sys.modules["PyTorchUtils"].PyTorchUtilsLogic(), "installTorch", fail)
    click(panel.ui.installTorchButton)
    assert "no route to host" in shown[0]


def test_looking_does_not_hold_up_the_panel(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def slow(python: str | None = None) -> TorchState:
        answer.wait(10)
        return FOUND

    monkeypatch.setattr("JointRegSegLib.panel.widget.probe", slow)
    widget = gui.open_widget(module)
    assert widget.panel.ui.torchLabel.text == "Looking for PyTorch..."
    answer.set()
    gui.wait_until(lambda: widget.panel.setup.state is FOUND)
    gui.close_widget(widget)


@pytest.fixture
def chosen_in(make_nodes: Callable[[], Any]) -> Callable[[Any], None]:
    """Selects valid inputs in a panel."""

    def choose(panel: Any) -> None:
        atlas, labels, target = make_nodes()
        panel.ui.atlasVolumeSelector.setCurrentNode(atlas)
        panel.ui.atlasLabelsSelector.setCurrentNode(labels)
        panel.ui.targetVolumeSelector.setCurrentNode(target)

    return choose


@pytest.fixture
def a_python(tmp_path: Path) -> Path:
    """A Python whose pip writes down what it was asked for; with a file named fail beside it, it fails."""
    if os.name == "nt":
        pytest.skip("a shell script stands in for Python")
    file = tmp_path / "approved" / "python"
    file.parent.mkdir()
    script = ["#!/bin/sh", f'echo "$@" >> {file.parent}/asked', f"[ -e {file.parent}/fail ] || exit 0"]
    file.write_text("\n".join([*script, "echo 'ERROR: no match for this platform' >&2; exit 1", ""]))
    file.chmod(0o755)
    return file


@pytest.fixture
def a_wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a wheel of PyTorch, which the user picks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "torch-2.9.0-py3-none-any.whl").write_bytes(b"0" * 2_000_000)
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *arguments: str(folder)))
    return folder


def test_another_python_is_used_when_it_has_pytorch(
    opened: Callable[[TorchState], Any], a_python: Path, fake_job: Any, chosen_in: Callable[[Any], None]
) -> None:
    panel = opened(FOUND)
    chosen_in(panel)
    panel.ui.pythonLineEdit.text = str(a_python)
    click(panel.ui.usePythonButton)
    gui.wait_until(lambda: "computes with" in panel.ui.setupStatusLabel.text)
    gui.wait_until(lambda: bool(panel.ui.runButton.enabled))
    click(panel.ui.runButton)
    assert fake_job.python == str(a_python)


def test_a_python_is_chosen_in_a_dialog_and_looked_for_anew_on_a_click(
    opened: Callable[[TorchState], Any], a_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = opened(MISSING)
    answer_files(monkeypatch, a_python)
    click(panel.ui.choosePythonButton)
    assert panel.ui.pythonLineEdit.text == str(a_python)
    monkeypatch.setattr("JointRegSegLib.panel.widget.probe", lambda python=None: FOUND)
    click(panel.ui.lookAgainButton)
    gui.wait_until(lambda: panel.ui.torchLabel.text.startswith("PyTorch 2.13.0"))


def test_a_python_without_pytorch_is_not_taken(
    opened: Callable[[TorchState], Any], a_python: Path, fake_job: Any, chosen_in: Callable[[Any], None]
) -> None:
    panel = opened(MISSING)
    panel.ui.pythonLineEdit.text = str(a_python)
    click(panel.ui.usePythonButton)
    gui.wait_until(lambda: "cannot be used" in panel.ui.setupStatusLabel.text)
    assert chosen_python() is None


def test_wheels_of_a_folder_are_installed_without_network_after_consent(
    opened: Callable[[TorchState], Any],
    a_python: Path,
    a_wheelhouse: Path,
    monkeypatch: pytest.MonkeyPatch,
    errors: list[str],
) -> None:
    asked: list[str] = []
    panel = opened(FOUND)
    remember("python", str(a_python))
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text: asked.append(text))
    click(panel.ui.installFolderButton)
    assert "torch-2.9.0-py3-none-any.whl (2 MB)" in asked[0]
    assert not (a_python.parent / "asked").exists()
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text: True)
    click(panel.ui.installFolderButton)
    gui.wait_until(lambda: "is installed" in panel.ui.setupStatusLabel.text)
    call = (a_python.parent / "asked").read_text()
    assert "pip install --no-index" in call
    assert f"--find-links {a_wheelhouse} torch>=2.2" in call
    (a_python.parent / "fail").touch()
    click(panel.ui.installFolderButton)
    gui.wait_until(lambda: len(errors) == 1)
    assert "no match for this platform" in errors[0]


def test_a_folder_without_wheels_is_refused(
    opened: Callable[[TorchState], Any], a_wheelhouse: Path, errors: list[str]
) -> None:
    (a_wheelhouse / "torch-2.9.0-py3-none-any.whl").unlink()
    click(opened(FOUND).ui.installFolderButton)
    assert "has no wheel of PyTorch" in errors[0]


def test_the_memory_of_the_run_is_told_before_it(
    opened: Callable[[TorchState], Any], chosen_in: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Ask] = []

    def answer(ask: Ask, python: str | None = None) -> Forecast:
        asked.append(ask)
        return Forecast(2.0 if ask.quality is Quality.NORMAL else 9.0, 4.0)

    monkeypatch.setattr("JointRegSegLib.panel.memory_line.forecast", answer)
    panel = opened(FOUND)
    chosen_in(panel)
    gui.wait_until(lambda: panel.ui.memoryLabel.text == "The run takes about 2.0 GB of memory; 4.0 GB are free.")
    panel.ui.qualityComboBox.currentIndex = 2
    gui.wait_until(lambda: "coarser voxels" in panel.ui.memoryLabel.text)
    assert asked[-1].target_size == (40, 36, 30)
    panel.ui.seedSpinBox.value = 3
    assert len(asked) == 2
    for _ in range(2):
        click(panel.ui.addAtlasButton)
    gui.wait_until(lambda: panel.ui.memoryLabel.text.startswith("Each atlas takes about 9.0 GB"))


def test_the_memory_of_a_graphics_card_a_model_and_atlases_on_disk_is_told(
    opened: Callable[[TorchState], Any],
    chosen_in: Callable[[Any], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Ask] = []

    def answer(ask: Ask, python: str | None = None) -> Forecast:
        asked.append(ask)
        return Forecast(1.0, 4.0, 9.0 if ask.on_gpu else None)

    monkeypatch.setattr("JointRegSegLib.panel.memory_line.forecast", answer)
    write_package(user_folder() / "models" / "heads.safetensors")
    panel = opened(FOUND)
    chosen_in(panel)
    card = "On the graphics card it takes about 9.0 GB; only 7.9 GB are free, so it may work on coarser voxels"
    gui.wait_until(lambda: card in panel.ui.memoryLabel.text)
    assert panel.ui.memoryLabel.text.startswith("The run takes about 1.0 GB of memory; 4.0 GB are free.")
    panel.ui.deviceComboBox.currentIndex = 1
    gui.wait_until(lambda: panel.ui.memoryLabel.text == "The run takes at most 1.0 GB of memory; 4.0 GB are free.")
    panel.ui.methodComboBox.currentIndex = 1
    gui.wait_until(lambda: panel.ui.memoryLabel.text.endswith("network computes with is not counted."))
    assert (asked[-1].model_voxels > 0, asked[-1].model_classes > 1) == (True, True)
    scan = tmp_path / "scan.nrrd"
    sitk.WriteImage(sitk.Image(70, 60, 50, sitk.sitkUInt8), str(scan))
    answer_files(monkeypatch, scan, scan)
    click(panel.ui.addAtlasFilesButton)
    gui.wait_until(lambda: asked[-1].atlas_voxels == 70 * 60 * 50)
    unreadable = tmp_path / "scan.mha"
    unreadable.write_text("no image")
    answer_files(monkeypatch, unreadable, scan)
    click(panel.ui.addAtlasFilesButton)
    gui.wait_until(lambda: panel.ui.memoryLabel.text.endswith("a run finds out are not counted: 1."))
    assert asked[-1].atlas_voxels == 70 * 60 * 50


def test_a_child_forecasts_more_memory_for_more_voxels() -> None:
    need("torch")
    few, many = (forecast(Ask((n, n, n), n**3, Quality.NORMAL)) for n in (46, 100))
    assert 0.3 < few.needed_gb < many.needed_gb < 2.0
    assert few.free_gb is not None
    assert few.gpu_gb is None


def test_the_forecast_of_a_card_and_of_a_model() -> None:
    need("torch")
    from JointRegSegLib.service.forecaster import predict

    def said(**more: Any) -> dict[str, Any]:
        return predict(Ask((100, 100, 100), 100**3, Quality.NORMAL, **more)).data

    alone, on_card = said(), said(on_gpu=True)
    assert on_card["needed_gb"] < alone["needed_gb"] < on_card["needed_gb"] + on_card["gpu_gb"] + 0.1
    with_model = said(model_voxels=64**3, model_classes=5)
    assert 0.008 < with_model["needed_gb"] - alone["needed_gb"] < 0.1


LACKING = dataclasses.replace(FOUND, has_safetensors=False)


@pytest.fixture
def slicer_packaging(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What `slicer.packaging` of Slicer 5.12 was asked for, of which there is a stand-in."""
    asked: list[tuple[Any, ...]] = []
    stand_in = ModuleType("slicer.packaging")
    stand_in.pip_ensure = lambda *arguments, requester: asked.append((*arguments, requester))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "slicer.packaging", stand_in)
    return asked


def test_a_model_without_safetensors_is_explained_and_a_button_offers_it(
    opened: Callable[[TorchState], Any],
    chosen_in: Callable[[Any], None],
    slicer_packaging: list[tuple[Any, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_package(user_folder() / "models" / "heads.safetensors")
    panel = opened(LACKING)
    chosen_in(panel)
    assert panel.ui.runButton.enabled
    panel.ui.methodComboBox.currentIndex = 1
    assert "safetensors" in panel.ui.runButton.toolTip
    monkeypatch.setattr(panel.setup, "_find", lambda: FOUND)
    click(panel.ui.installPackagesButton)
    assert slicer_packaging == [("safetensors>=0.4", "JointRegSeg")]
    gui.wait_until(lambda: bool(panel.ui.runButton.enabled))
    assert not panel.ui.installPackagesButton.visible


@pytest.mark.parametrize("consent", [True, False])
def test_an_older_slicer_installs_after_consent(
    opened: Callable[[TorchState], Any], monkeypatch: pytest.MonkeyPatch, consent: bool
) -> None:
    installed: list[str] = []
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text: consent)
    monkeypatch.setattr("slicer.util.pip_install", installed.append)
    panel = opened(LACKING)
    click(panel.ui.installPackagesButton)
    assert installed == (["safetensors>=0.4"] if consent else [])


def test_who_declines_gets_no_error(
    opened: Callable[[TorchState], Any], slicer_packaging: list[Any], monkeypatch: pytest.MonkeyPatch, errors: list[str]
) -> None:
    def decline(requirement: str, requester: str) -> None:
        raise RuntimeError("The user declined.")

    monkeypatch.setattr(sys.modules["slicer.packaging"], "pip_ensure", decline)
    panel = opened(LACKING)
    click(panel.ui.installPackagesButton)
    assert errors == []
