"""The panel: its sections, and what they tell one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ..scene import Changes
from ..service.client import probe
from .inputs import Inputs, problem_of
from .lists_section import ListsSection
from .memory_line import MemoryLine
from .method_section import MethodSection
from .refine_section import RefineSection
from .result_section import ResultSection
from .run_queue import Turn
from .run_section import RunSection
from .run_session import RunSession
from .setup import TorchSetup
from .setup_section import SetupSection, chosen_python
from .train_section import TrainSection


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
        self._logic = logic
        self._parameters: Any = None
        self._gui_tag: Any = None
        self.setup = TorchSetup(self._update, lambda: probe(chosen_python()))
        self.setup_section = SetupSection(self.ui, lambda python: probe(python), self._look)
        self.memory_line = MemoryLine(self.ui.memoryLabel)
        self.method_section = MethodSection(self.ui, self._update, chosen_python)
        self.lists_section = ListsSection(self.ui, self._update, self._show_target)
        self.run_section = RunSection(self.ui, logic.newRun, self._run, self._update, self._show)
        self.result_section = ResultSection(self.ui, self.setup.describe)
        self.refine_section = RefineSection(self.ui, self._refine)
        self.train_section = TrainSection(self.ui, self.method_section.install, self._why_not_compute)
        root.setMRMLScene(slicer.mrmlScene)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_end_close)
        self.addObserver(scene, scene.EndImportEvent, self._on_scene_end_import)
        self.ui.installTorchButton.connect("clicked(bool)", self._on_install)
        self.setup.look()
        self.enter()

    @property
    def session(self) -> RunSession | None:
        """The run that goes on, or else the one that was the last."""
        return self.run_section.session

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
        self.setup_section.close()
        self.memory_line.close()
        self.method_section.close()
        self.lists_section.close()
        self.run_section.close()
        self.train_section.close()
        self._watch(None)
        self.removeObservers()

    def _watch(self, parameters: Any) -> None:
        """Show this parameter node from now on; None shows none."""
        if self._parameters is not None:
            self._parameters.disconnectGui(self._gui_tag)
            self.removeObserver(self._parameters, vtk.vtkCommand.ModifiedEvent, self._update)
        self._parameters = parameters
        self.method_section.watch(parameters)
        self.lists_section.watch(parameters)
        self.train_section.watch(parameters)
        if parameters is not None:
            self._gui_tag = parameters.connectGui(self.ui)
            self.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, self._update)
        self._update()

    def _on_scene_start_close(self, caller: Any = None, event: Any = None) -> None:
        self._watch(None)
        self.run_section.cancel()

    def _on_scene_end_close(self, caller: Any = None, event: Any = None) -> None:
        self.result_section.clear()
        self.refine_section.show(None)
        self.run_section.forget()
        self.enter()

    def _on_scene_end_import(self, caller: Any = None, event: Any = None) -> None:
        """A scene was loaded; its choices take the place of the present ones."""
        self._watch(self._logic.getParameterNode())

    def _run(self) -> None:
        if not self._why_not():
            self.result_section.clear()
            self.refine_section.show(None)
            self.run_section.start(self._inputs())

    def _refine(self, turn: Turn, changes: Changes) -> None:
        """Run a target again, from where its last run ended and with what the user corrected."""
        if turn.session is not None and turn.session.result is not None:
            self.run_section.refine(turn, turn.inputs.refined(changes, turn.session.result.folder))

    def _show(self, turn: Turn) -> None:
        """Show the result of a target."""
        if turn.session is not None:
            self.result_section.show(turn.session)
        self.refine_section.show(turn)
        self._update()

    def _show_target(self, key: str) -> None:
        turn = self.run_section.turn(key)
        if turn is not None and turn.session is not None and not turn.session.is_active:
            self._show(turn)

    def _on_install(self, checked: bool = False) -> None:
        self.setup.install()
        self._update()

    def _look(self) -> None:
        """Look for PyTorch anew."""
        self.setup.look()
        self._update()

    def _inputs(self) -> tuple[Inputs, ...]:
        return Inputs.of_parameters(self._parameters, self.method_section.model)

    def _why_not(self) -> str:
        """Why Run is disabled; empty where it is not."""
        if self._parameters is None:
            return _("There is no scene.")
        if self.run_section.is_active:
            return _("A run is going on.")
        problem = problem_of(self._inputs()) or self.method_section.problem()
        if not problem and self.method_section.model is not None and self.setup.lacks_safetensors:
            return _("The package safetensors, which reads trained models, is missing. Install it under Set-up.")
        return problem or self._why_not_compute()

    def _why_not_compute(self) -> str:
        """Why nothing can be computed; empty where it can."""
        return self.setup.describe() if self.setup.is_missing else ""

    def _update(self, caller: Any = None, event: Any = None) -> None:
        """Make the panel show what is true now."""
        ui = self.ui
        self.method_section.update()
        self.lists_section.update(self.run_section.status(), self.run_section.is_active)
        reason = self._why_not()
        self.run_section.update(reason)
        self.train_section.update()
        if not self.run_section.is_active:
            self.memory_line.update(self._inputs() if not reason else (), self.setup.state)
        ui.torchLabel.text = self.setup.describe()
        ui.installTorchButton.visible = self.setup.lacks_torch
        ui.installPackagesButton.visible = self.setup.lacks_safetensors
        parameters = self._parameters
        ui.startTransformSelector.enabled = parameters is not None and parameters.start.name == "TRANSFORM"
        runs = self._inputs() if parameters is not None else ()
        self.refine_section.update(self.run_section.is_active, runs)
        ui.landmarkUseComboBox.enabled = any(inputs.target_points is not None for inputs in runs)
        several = any(len(inputs.atlases) > 1 for inputs in runs)
        ui.fusionComboBox.enabled = ui.mostAtlasesSpinBox.enabled = several
