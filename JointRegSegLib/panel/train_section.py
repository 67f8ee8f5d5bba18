"""The panel's section that trains a method on the user's scans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..job import Device, JobError
from ..methods import METHODS, PRESET, presets
from ..scene import AtlasSource, write_training_set
from ..service.training_client import CURVES, MODEL, TrainingRequest
from .curves import Curves
from .entries import IMAGE, LABELS, TABLE, EntryList
from .method_words import method_name, when_to_use
from .setup_section import chosen_python
from .telling import tell
from .training_session import TrainingSession
from .words import progress_line

_SCANS = "scans"


class TrainSection:
    """Chooses scans and method, starts, stops and resumes, shows curves, installs the model.

    Args:
        ui: the panel's widgets by name.
        install: checks and installs a package under a name.
        why_not: why nothing can be computed, or empty.
    """

    def __init__(self, ui: Any, install: Callable[[Path, str], None], why_not: Callable[[], str]) -> None:
        self._ui = ui
        self._install = install
        self._why_not = why_not
        self._parameters: Any = None
        self._curves = Curves(ui)
        self.session: TrainingSession | None = None
        for method in sorted(METHODS):
            ui.trainMethodComboBox.addItem(method_name(method), method)
        ui.trainMethodComboBox.connect("currentIndexChanged(int)", self._on_method)
        for line in (ui.trainDataLineEdit, ui.trainOutputLineEdit, ui.trainNameLineEdit):
            line.connect("textChanged(QString)", self.update)
        ui.chooseTrainDataButton.connect("clicked(bool)", self._on_choose_data)
        ui.sceneTrainDataButton.connect("clicked(bool)", self._on_lists)
        ui.chooseTrainOutputButton.connect("clicked(bool)", self._on_choose_output)
        ui.trainButton.connect("clicked(bool)", lambda checked=False: self._start(resume=False))
        ui.resumeTrainButton.connect("clicked(bool)", lambda checked=False: self._start(resume=True))
        ui.stopTrainButton.connect("clicked(bool)", self._on_stop)
        ui.installModelButton.connect("clicked(bool)", self._on_install)
        self._on_method()

    def watch(self, parameters: Any) -> None:
        """Take scans of the scene from the lists of this parameter node, and its device; None has neither."""
        self._parameters = parameters

    def close(self) -> None:
        """Stop a training, and hear nothing any more."""
        self._curves.close()
        if self.session is not None:
            self.session.close()

    def update(self, text: str = "") -> None:
        """Make the section show what is true now."""
        ui, session = self._ui, self.session
        active = session is not None and session.is_active
        reason = _("Training goes on.") if active else self._problem()
        for button, words in (
            (ui.trainButton, _("Start to train.")),
            (ui.resumeTrainButton, _("Go on with the training in the output folder.")),
        ):
            button.enabled = not reason
            button.toolTip = reason or words
        ui.sceneTrainDataButton.enabled = bool(self._lists()[0]) and bool(ui.trainOutputLineEdit.text)
        ui.stopTrainButton.enabled = session is not None and active and not session.is_stopping
        ui.installModelButton.enabled = not active and (self._output / MODEL).is_file() and bool(self._name)
        ui.trainStatusLabel.text = self._line(reason)
        if session is not None and session.event is not None and session.event.fraction is not None:
            ui.trainProgressBar.value = round(1000 * session.event.fraction)
        self._curves.follow(self._output / CURVES, active)

    @property
    def _output(self) -> Path:
        return Path(self._ui.trainOutputLineEdit.text.strip())

    @property
    def _name(self) -> str:
        return str(self._ui.trainNameLineEdit.text).strip()

    @property
    def _method(self) -> str:
        return str(self._ui.trainMethodComboBox.itemData(self._ui.trainMethodComboBox.currentIndex))

    def _problem(self) -> str:
        ui = self._ui
        if not ui.trainDataLineEdit.text.strip():
            return _("Choose the scans to train on.")
        if not Path(ui.trainDataLineEdit.text.strip()).exists():
            return _("There is no {place}. Choose the scans to train on.").format(place=ui.trainDataLineEdit.text)
        if not ui.trainOutputLineEdit.text.strip():
            return _("Choose a folder for the model.")
        return self._why_not()

    def _line(self, reason: str) -> str:
        session = self.session
        return (reason or _("Ready.")) if session is None else "\n".join((self._line_of(session), *session.cautions))

    def _line_of(self, session: TrainingSession) -> str:
        if session.is_stopping and session.is_active:
            return _("Stopping after the present step...")
        if session.is_active:
            event = session.event
            return f"{event.message}\n{progress_line(event)}" if event is not None else session.note or _("Starting...")
        if session.trained is None:
            return str(session.error)
        trained = session.trained
        words = (
            _("Training is finished: {steps} steps in {minutes:.1f} minutes.")
            if trained.finished
            else _("Training stopped after {steps} steps and {minutes:.1f} minutes; Resume goes on with it.")
        ).format(steps=trained.steps, minutes=trained.minutes)
        scores = ", ".join(f"{name} {score:.3f}" for name, score in trained.scores.items())
        return words + (" " + _("Validation Dice: {scores}.").format(scores=scores) if scores else "")

    def _on_method(self, index: int = 0) -> None:
        ui = self._ui
        ui.trainMethodTextLabel.text = f"{METHODS[self._method]}. {when_to_use(self._method)}"
        ui.trainPresetComboBox.clear()
        names = sorted(presets(self._method), key=lambda name: (name != PRESET, name))
        for name in names:
            ui.trainPresetComboBox.addItem(_("As in the paper") if name == PRESET else name, name)

    def _on_choose_data(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getExistingDirectory(None, _("The folder of the training scans"))
        if chosen:
            self._ui.trainDataLineEdit.text = chosen

    def _on_choose_output(self, checked: bool = False) -> None:
        chosen = qt.QFileDialog.getExistingDirectory(None, _("A folder for the model"))
        if chosen:
            self._ui.trainOutputLineEdit.text = chosen

    def _lists(self) -> tuple[list[AtlasSource], list[Any]]:
        """The labeled scans, which are the list of atlases, and the unlabeled ones, which are that of targets."""
        if self._parameters is None:
            return [], []
        atlases, targets = (EntryList(self._parameters, name).entries for name in ("atlasList", "targetList"))
        labeled = [
            AtlasSource(entry.parts[IMAGE], entry.parts[LABELS], table=entry.parts.get(TABLE))
            for entry in atlases
            if entry.is_whole
        ]
        return labeled, [entry.parts[IMAGE] for entry in targets if entry.is_whole]

    def _on_lists(self, checked: bool = False) -> None:
        labeled, others = self._lists()
        try:
            written = write_training_set(slicer.mrmlScene, labeled, others, self._output / _SCANS)
        except JobError as error:
            tell(error)
            return
        self._ui.trainDataLineEdit.text = str(written)

    def _start(self, resume: bool) -> None:
        ui = self._ui
        request = TrainingRequest(
            method=self._method,
            data=Path(ui.trainDataLineEdit.text.strip()),
            output=self._output,
            preset=str(ui.trainPresetComboBox.itemData(ui.trainPresetComboBox.currentIndex)),
            labelled=ui.trainLabelledSpinBox.value or None,
            max_minutes=float(ui.trainMinutesSpinBox.value) or None,
            resume=resume,
            licence=ui.trainLicenceLineEdit.text.strip(),
            device=Device.AUTO if self._parameters is None else Device(self._parameters.device.value),
        )
        ui.trainProgressBar.value = 0
        self.session = TrainingSession(request, chosen_python(), self._on_session)
        self.session.start()

    def _on_session(self) -> None:
        self.update()
        if self.session is not None and not self.session.is_active and self.session.error is not None:
            tell(self.session.error)

    def _on_stop(self, checked: bool = False) -> None:
        if self.session is not None:
            self.session.stop()

    def _on_install(self, checked: bool = False) -> None:
        self._install(self._output / MODEL, self._name)
