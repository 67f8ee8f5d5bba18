"""The module in a window without Slicer: Slicer's widgets are stand-ins, its scene is real."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer

from . import ctk_widgets, pythonqt, qmrml_widgets, slicer_standins

SOURCES = Path(__file__).resolve().parents[2]
MODULE_FILE = SOURCES / "JointRegSeg" / "JointRegSeg.py"
PANEL_WIDTH, PANEL_HEIGHT = 440, 900


class _Signals:
    """Stand-in of an application object that is only connected to; keeps who listens to what."""

    def __init__(self) -> None:
        self.listeners: dict[str, list[Callable[..., None]]] = {}

    def connect(self, signal: str, receiver: Callable[..., None]) -> None:
        self.listeners.setdefault(signal, []).append(receiver)

    def disconnect(self, signal: str, receiver: Callable[..., None]) -> None:
        self.listeners[signal].remove(receiver)


def install() -> None:
    """Make `qt`, `ctk`, `slicer.qMRML*` and Slicer's pure-Python modules importable. Once for a process is enough."""
    if "qt" not in sys.modules:
        pythonqt.install()
        ctk_widgets.install()
        qmrml_widgets.install()
        slicer_standins.install()


def add_events(app: Any) -> None:
    """Give a rig's `slicer.app` an event loop and the signals that a module connects to."""
    pythonqt.keep_settings_in(app.temporaryPath)
    signals, manager = _Signals(), _Signals()
    app.connect, app.listeners = signals.connect, signals.listeners
    app.moduleManager = lambda: manager
    app.processEvents = lambda *_: pythonqt.application().processEvents()


def load_module(file: Path = MODULE_FILE) -> ModuleType:
    """Run the module's file as Slicer would at its start."""
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[file.stem] = module
    specification.loader.exec_module(module)
    return module


def module_parent(file: Path = MODULE_FILE) -> Any:
    """Stand-in of what Slicer hands to a module's description."""
    return SimpleNamespace(path=str(file), title="", categories=[], contributors=[], helpText="", icon=None)


def open_widget(module: ModuleType) -> Any:
    """The module's widget in a window of its own, set up and shown."""
    window = slicer.qMRMLWidget()
    window.setLayout(pythonqt.qt.QVBoxLayout())
    window.setMRMLScene(slicer.mrmlScene)
    widget = module.JointRegSegWidget(window)
    widget.setup()
    window.resize(PANEL_WIDTH, PANEL_HEIGHT)
    window.show()
    pump()
    return widget


def unfold(widget: Any) -> None:
    """Open every section, so that what is in it can be clicked."""
    for name, child in vars(widget.panel.ui).items():
        if name.endswith("CollapsibleButton"):
            child.collapsed = False
    fit(widget)


def fit(widget: Any) -> None:
    """Make the window as tall as its content needs; in a lower one buttons are squeezed and cannot be clicked."""
    window = widget.parent
    for _ in range(2):  # the first time, labels that wrap learn their width
        pump()
        window.resize(PANEL_WIDTH, window.sizeHint.height())
        pump()
        window.resize(PANEL_WIDTH, max(window.layout().heightForWidth(PANEL_WIDTH), window.sizeHint.height()))
    pump()


def close_widget(widget: Any) -> None:
    """Take the module's widget away, as Slicer does when it exits."""
    widget.cleanup()
    widget.parent.setMRMLScene(None)
    for child in widget.parent.findChildren(slicer.qMRMLWidget):
        child.setMRMLScene(None)
    widget.parent.close()
    widget.parent.deleteLater()
    pump()


def pump(seconds: float = 0.0) -> None:
    """Let Qt handle its events, for at least this long."""
    end = time.monotonic() + seconds
    while True:
        pythonqt.application().processEvents()
        if time.monotonic() >= end:
            return
        time.sleep(0.01)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Let Qt handle its events until the condition holds; an AssertionError where it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still not true after {seconds} s"
        pump(0.01)


def grab_panel(widget: Any, file: Path) -> None:
    """Draw the panel, as tall as its content needs, into a PNG."""
    fit(widget)
    pump(0.05)
    widget.parent.grab().save(str(file))
