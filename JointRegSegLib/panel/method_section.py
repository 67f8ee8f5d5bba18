"""The panel's section on methods: the optimization or an installed model, and what models are installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..job import JobError
from ..job.request import OPTIMISATION
from ..library.models import Installed, installed_models, remove_model
from ..service.model_tools import check_in_child, install_in_child
from .background import Background
from .method_words import describe, method_name
from .telling import tell


class MethodSection:
    """Shows what can register, and keeps the choice in the parameter node.

    Args:
        ui: the panel's widgets by name.
        on_change: called when the models on this computer have changed.
        python: gives the Python that looks at weights, or None for the default.
    """

    def __init__(self, ui: Any, on_change: Callable[[], None], python: Callable[[], str | None]) -> None:
        self._ui = ui
        self._on_change = on_change
        self._python = python
        self._parameters: Any = None
        self._models: dict[str, Installed] = {}
        self._background = Background()
        self._status = ""
        self._shown: dict[str, str] = {}
        ui.methodComboBox.connect("currentIndexChanged(int)", self._on_choose)
        ui.importModelButton.connect("clicked(bool)", self._on_import)
        ui.checkModelButton.connect("clicked(bool)", self._on_check)
        ui.removeModelButton.connect("clicked(bool)", self._on_remove)
        self.look()

    def look(self) -> None:
        """See anew which models are installed."""
        self._models = {model.name: model for model in installed_models()}

    def watch(self, parameters: Any) -> None:
        """Keep the choice in this parameter node from now on; None keeps it nowhere."""
        self._parameters = parameters

    def close(self) -> None:
        """Hear nothing any more."""
        self._background.close()

    @property
    def model(self) -> Installed | None:
        """The chosen model; None for the optimization, and where the chosen one is not installed."""
        return self._models.get(self._chosen)

    def problem(self) -> str:
        """Why the choice cannot be run; empty where it can."""
        if not self._chosen:
            return ""
        if self.model is None:
            return _("The model {name} is not installed on this computer. Import it, or choose another method.").format(
                name=self._chosen
            )
        return self.model.problem

    def update(self) -> None:
        """Make the section show what is true now."""
        ui, chosen = self._ui, self._chosen
        self._fill(chosen)
        model = self.model
        method = model.card.method if model is not None and model.card is not None else OPTIMISATION
        quality = self._parameters.quality.value if self._parameters is not None else ""
        ui.methodTextLabel.text = self.problem() or describe(model, method, quality)
        ui.refinementComboBox.enabled = method != OPTIMISATION
        busy = self._background.is_busy
        ui.importModelButton.enabled = not busy
        for button in (ui.checkModelButton, ui.removeModelButton):
            button.enabled = model is not None and not busy
        ui.modelStatusLabel.text = self._status
        ui.modelStatusLabel.visible = bool(self._status)

    @property
    def _chosen(self) -> str:
        return "" if self._parameters is None else self._parameters.model

    def _fill(self, chosen: str) -> None:
        """The entries of the box: the optimization, the models, and the chosen one where it is not installed."""
        entries = {"": method_name(OPTIMISATION)}
        entries |= {name: _entry(model) for name, model in self._models.items()}
        entries.setdefault(chosen, _("{name} (not installed)").format(name=chosen))
        box = self._ui.methodComboBox
        before = box.blockSignals(True)
        if entries != self._shown:  # else an open list would close with every event of a run
            box.clear()
            for name, text in entries.items():
                box.addItem(text, name)
            self._shown = entries
        box.currentIndex = list(entries).index(chosen)
        box.blockSignals(before)

    def _on_choose(self, index: int) -> None:
        if self._parameters is not None and index >= 0:
            self._parameters.model = self._ui.methodComboBox.itemData(index)

    def _on_import(self, checked: bool = False) -> None:
        title, kinds = _("Import a model"), _("Model packages (*.safetensors)")
        file = qt.QFileDialog.getOpenFileName(None, title, "", kinds)
        if file:
            self.install(Path(file))

    def install(self, package: Path, name: str = "") -> None:
        """Check and install a package in the background, and choose it then."""
        python = self._python()
        self._begin(
            _("Checking the weights of the model..."), lambda: install_in_child(package, name, python), self._installed
        )

    def _installed(self, name: str) -> None:
        self._status = _("The model {name} is installed.").format(name=name)
        self.look()
        if self._parameters is not None:
            self._parameters.model = name

    def _on_check(self, checked: bool = False) -> None:
        model, python = self.model, self._python()
        if model is not None:
            self._begin(
                _("Checking the weights of the model..."),
                lambda: check_in_child(model.path, python),
                lambda method: self._say(_("The model {name} is whole.").format(name=model.name)),
            )

    def _on_remove(self, checked: bool = False) -> None:
        model = self.model
        question = _("Delete the model {name} from this computer?")
        if model is None or not slicer.util.confirmOkCancelDisplay(question.format(name=model.name)):
            return
        try:
            remove_model(model.name)
        except JobError as error:
            tell(error)
            return
        self._say(_("The model {name} was deleted.").format(name=model.name))
        self.look()
        self._parameters.model = ""

    def _begin(self, status: str, work: Callable[[], Any], done: Callable[[Any], None]) -> None:
        def ended(found: Any, error: JobError | None) -> None:
            if error is None:
                done(found)
            else:
                self._say(str(error))
                tell(error)
            self._on_change()

        self._say(status)
        self._background.start(work, ended)
        self._on_change()

    def _say(self, status: str) -> None:
        self._status = status


def _entry(model: Installed) -> str:
    if model.card is None:
        return _("{name} (cannot be used)").format(name=model.name)
    return f"{model.name} ({method_name(model.card.method)})"
