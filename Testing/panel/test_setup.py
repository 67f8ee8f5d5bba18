"""PyTorch: shown before Run, never installed without a click, and its lack is explained."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.service.client import TorchDevice, TorchState
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer  # noqa: E402

from Testing.rig import gui  # noqa: E402
from Testing.rig.clicks import click  # noqa: E402

pytestmark = pytest.mark.gui

FOUND = TorchState("2.13.0", (TorchDevice("cpu", "CPU, 8 threads"), TorchDevice("cuda", "A card", 7.9, 8.0)))
MISSING = TorchState(error=JobError(Code.TORCH_MISSING, "PyTorch is not installed.", "Install it."))


@pytest.fixture
def opened(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[TorchState], Any]]:
    """Opens the module where PyTorch is in this state."""
    made: list[Any] = []

    def with_state(state: TorchState) -> Any:
        monkeypatch.setattr("JointRegSegLib.panel.widget.probe", lambda: state)
        made.append(gui.open_widget(module))
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

    def slow() -> TorchState:
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
