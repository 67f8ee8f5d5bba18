"""The panel: connects what is on the screen with the parameter node and the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ..service.client import probe
from .inputs import Inputs
from .method_section import MethodSection
from .remembered import remember_run
from .result_section import ResultSection
from .run_session import RunSession, State
from .setup import TorchSetup
from .words import progress_line


class Logic(Protocol):
    """What the panel needs of the module's logic."""

    def getParameterNode(self) -> Any: ...
    def newRun(self, inputs: Inputs, onChange: Callable[[], None]) -> RunSession: ...


class Panel(VTKObservationMixin):
    """The module's panel.

    Args:
        root: the widget loaded from JointRegSeg.ui.
        logic: makes parameter nodes and runs.
    """

    def __init__(self, root: Any, logic: Logic) -> None:
        super().__init__()
        self.ui = slicer.util.childWidgetVariables(root)
        self.session: RunSession | None = None
        self.setup = TorchSetup(self._update, probe)
        self.method_section = MethodSection(self.ui, self._update, lambda: None)
        self.result_section = ResultSection(self.ui, self.setup.describe)
        self._logic = logic
        self._parameters: Any = None
        self._gui_tag: Any = None
        self._shown_state = State.IDLE
        root.setMRMLScene(slicer.mrmlScene)
        self._connect()
        self.setup.look()
        self.enter()

    def enter(self) -> None:
        """The user opened the module: show what the scene's parameter node holds."""
        self.method_section.look()
        if self._parameters is None:
            self._watch(self._logic.getParameterNode())
        else:
            self._update()

    def close(self) -> None:
        """The module goes away: cancel the run, and watch nothing any more."""
        self.setup.close()
        self.method_section.close()
        if self.session is not None:
            self.session.close()
        self._watch(None)
        self.removeObservers()

    def _connect(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_end_close)
        self.addObserver(scene, scene.EndImportEvent, self._on_scene_end_import)
        self.ui.runButton.connect("clicked(bool)", self._on_run)
        self.ui.cancelButton.connect("clicked(bool)", self._on_cancel)
        self.ui.installTorchButton.connect("clicked(bool)", self._on_install)

    def _watch(self, parameters: Any) -> None:
        """Show this parameter node from now on; None shows none."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self.removeObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._update)
        self._parameters = parameters
        self.method_section.watch(parameters)
        if parameters is not None:
            self._gui_tag = parameters.connectGui(self.ui)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self._update)
        self._update()

    def _on_scene_start_close(self, caller: Any = None, event: Any = None) -> None:
        self._watch(None)
        if self.session is not None:
            self.session.cancel()

    def _on_scene_end_close(self, caller: Any = None, event: Any = None) -> None:
        self.result_section.clear()
        self.enter()

    def _on_scene_end_import(self, caller: Any = None, event: Any = None) -> None:
        """A scene was loaded; its choices take the place of the present ones."""
        self._watch(self._logic.getParameterNode())

    def _on_run(self, checked: bool = False) -> None:
        if self._why_not():
            return
        if self.session is not None:
            self.session.close()
        self.result_section.clear()
        self.session = self._logic.newRun(self._inputs(), self._on_run_change)
        self.session.start()

    def _on_cancel(self, checked: bool = False) -> None:
        if self.session is not None:
            self.session.cancel()

    def _on_install(self, checked: bool = False) -> None:
        self.setup.install()
        self._update()

    def _on_run_change(self) -> None:
        self._update()
        session, before = self.session, self._shown_state
        if session is None or session.state is before:
            return
        self._shown_state = session.state
        if session.state in (State.FINISHED, State.FAILED):
            self.result_section.show(session)
        if session.state is State.FINISHED:
            remember_run(*session.kind, session.seconds)
            self._update()
        if session.state is State.FAILED and session.error is not None:
            slicer.util.errorDisplay(f"{session.error.message}\n\n{session.error.advice}".strip())

    def _why_not(self) -> str:
        """Why Run is disabled; empty where it is not."""
        if self._parameters is None:
            return _("There is no scene.")
        if self.session is not None and self.session.is_active:
            return _("A run is going on.")
        problem = self._inputs().problem() or self.method_section.problem()
        return problem or (self.setup.describe() if self.setup.is_missing else "")

    def _inputs(self) -> Inputs:
        return Inputs.from_parameters(self._parameters, self.method_section.model)

    def _update(self, caller: Any = None, event: Any = None) -> None:
        """Make the panel show what is true now."""
        ui = self.ui
        self.method_section.update()
        state = self.session.state if self.session is not None else State.IDLE
        reason = self._why_not()
        ui.runButton.enabled = not reason
        ui.runButton.toolTip = reason or _("Register the atlas to the target and segment the target.")
        ui.cancelButton.enabled = state is State.RUNNING
        ui.cancelButton.toolTip = (
            _("Stop the run. The scene stays as it is.") if state is State.RUNNING else _("There is no run to cancel.")
        )
        ui.torchLabel.text = self.setup.describe()
        ui.installTorchButton.visible = self.setup.is_missing
        from_transform = self._parameters is not None and self._parameters.start.name == "TRANSFORM"
        ui.startTransformSelector.enabled = from_transform
        ui.statusLabel.text = self._status(reason)
        ui.progressBar.value = self._progress()

    def _progress(self) -> int:
        """Thousandths for the progress bar; an event that does not know leaves it where it is."""
        session = self.session
        if session is None or session.state in (State.IDLE, State.FAILED, State.CANCELLED):
            return 0
        if session.state is State.FINISHED:
            return 1000
        if session.event is None:
            return 0
        fraction = session.event.fraction
        return self.ui.progressBar.value if fraction is None else round(1000 * fraction)

    def _status(self, reason: str) -> str:
        session = self.session
        if session is None or session.state is State.IDLE:
            return reason or _("Ready.")
        if session.state is State.FAILED:
            return str(session.error)
        if session.state is State.RUNNING:
            return progress_line(session.event) if session.event is not None else _("Starting...")
        return {
            State.CANCELLING: _("Cancelling..."),
            State.CANCELLED: _("Cancelled. The scene stays as it was."),
            State.FINISHED: _("Finished."),
        }[session.state]
