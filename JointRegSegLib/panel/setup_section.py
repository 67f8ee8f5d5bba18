"""The panel's section on where PyTorch comes from: a folder of wheels, or another Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..job import JobError
from ..service.client import TorchState
from ..service.launch import default_python
from ..service.wheelhouse import install_from, wheels
from .background import Background
from .packages import SAFETENSORS, install_packages
from .remembered import recall, remember
from .telling import tell

_PYTHON = "python"


def chosen_python() -> str | None:
    """The Python that the user chose for computing on this computer; None for Slicer's own."""
    return recall(_PYTHON) or None


class SetupSection:
    """Installs from a folder and chooses the Python, each on a click and after asking.

    Args:
        ui: the panel's widgets by name.
        find: what a Python offers; blocks meanwhile.
        on_change: called when PyTorch has to be looked for anew.
    """

    def __init__(self, ui: Any, find: Callable[[str | None], TorchState], on_change: Callable[[], None]) -> None:
        self._ui = ui
        self._find = find
        self._on_change = on_change
        self._background = Background()
        ui.installFolderButton.connect("clicked(bool)", self._on_install_folder)
        ui.installPackagesButton.connect("clicked(bool)", self._on_install_packages)
        ui.lookAgainButton.connect("clicked(bool)", lambda checked=False: on_change())
        ui.choosePythonButton.connect("clicked(bool)", self._on_choose_python)
        ui.usePythonButton.connect("clicked(bool)", self._on_use_python)
        ui.pythonLineEdit.text = recall(_PYTHON)
        self._say("")

    def close(self) -> None:
        """Hear nothing any more."""
        self._background.close()

    def _on_install_folder(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getExistingDirectory(None, _("A folder of wheel files"))
        if not chosen:
            return
        folder, python = Path(chosen), chosen_python()
        try:
            found = wheels(folder)
        except JobError as error:
            tell(error)
            return
        listed = "\n".join(f"{file.name} ({file.stat().st_size / 1e6:.0f} MB)" for file in found)
        question = _("Install these and what they need from {folder} into {python}? No network is used.\n\n{listed}")
        if slicer.util.confirmOkCancelDisplay(
            question.format(folder=folder, python=python or default_python(), listed=listed)
        ):
            self._say(_("Installing PyTorch from the folder..."))
            self._background.start(lambda: install_from(folder, python), self._installed)
            self._enable()

    def _installed(self, nothing: None, error: JobError | None) -> None:
        self._say(_("PyTorch is installed.") if error is None else str(error))
        if error is not None:
            tell(error)
        self._on_change()

    def _on_install_packages(self, checked: bool = False) -> None:
        if chosen_python() is None:
            install_packages()
        else:
            slicer.util.errorDisplay(
                _("Another Python computes: install {name} there, with its own pip.").format(name=SAFETENSORS)
            )
        self._on_change()

    def _on_choose_python(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getOpenFileName(None, _("The executable of a Python"))
        if chosen:
            self._ui.pythonLineEdit.text = chosen

    def _on_use_python(self, checked: bool = False) -> None:
        python = self._ui.pythonLineEdit.text.strip()
        self._say(_("Looking for PyTorch in {python}...").format(python=python or default_python()))
        self._background.start(
            lambda: self._find(python or None), lambda state, error: self._used(python, state, error)
        )
        self._enable()

    def _used(self, python: str, state: TorchState | None, error: JobError | None) -> None:
        error = error or (state.error if state is not None else None)
        if error is not None and python:
            self._say(_("{python} cannot be used: {problem}").format(python=python, problem=error))
            return
        remember(_PYTHON, python)
        self._say(_("The next run computes with {python}.").format(python=python or default_python()))
        self._on_change()

    def _say(self, words: str) -> None:
        self._ui.setupStatusLabel.text = words
        self._ui.setupStatusLabel.visible = bool(words)
        self._enable()

    def _enable(self) -> None:
        for button in (self._ui.installFolderButton, self._ui.usePythonButton, self._ui.lookAgainButton):
            button.enabled = not self._background.is_busy
