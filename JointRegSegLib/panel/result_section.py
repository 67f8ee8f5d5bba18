"""The panel's section on what came out of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..job import JobError
from ..scene import reference_dice
from . import summary
from .carrying_section import CarryingSection
from .comparing import Comparing
from .report import report, report_of
from .run_session import RunSession
from .structures import StructuresTable
from .telling import tell


class ResultSection:
    """Shows one ended run. The user may have deleted any of its nodes.

    Args:
        ui: the panel's widgets by name.
        describe_torch: one line about PyTorch, for the report.
    """

    def __init__(self, ui: Any, describe_torch: Callable[[], str]) -> None:
        self._ui = ui
        self._describe_torch = describe_torch
        self.session: RunSession | None = None
        self._structures = StructuresTable(ui.structuresTable)
        self._comparing = Comparing(ui)
        self._carrying = CarryingSection(ui)
        ui.referenceSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._show_structures)
        ui.openFolderButton.connect("clicked(bool)", self._on_open_folder)
        ui.copyReportButton.connect("clicked(bool)", self._on_copy_report)
        self.clear()

    def clear(self) -> None:
        """Show that there is no run."""
        self.session = None
        self._ui.summaryLabel.text = _("No run yet.")
        self._enable()

    def show(self, session: RunSession) -> None:
        """Show a run that has finished or failed."""
        self.session = session
        if session.result is None:
            self._ui.summaryLabel.text = _("The run gave no result.")
        else:
            facts = summary.how_it_was_made(session.result.manifest, session.seconds)
            self._ui.summaryLabel.text = summary.to_html(session.result.quality, session.notes, facts)
        self._enable()

    def _enable(self) -> None:
        session = self.session
        nodes = session.nodes if session is not None and session.result is not None else None
        self._comparing.show(nodes, session.target_id if session is not None else "")
        self._carrying.show(nodes)
        self._ui.openFolderButton.enabled = nodes is not None
        self._show_structures()

    def _show_structures(self, reference: Any = None) -> None:
        session, reference = self.session, self._ui.referenceSelector.currentNode()
        if session is None or session.result is None:
            self._structures.clear()
            return
        dice: dict[int, float] = {}
        if reference is not None:
            try:
                dice = reference_dice(slicer.mrmlScene, session.nodes, reference)
            except JobError as error:
                tell(error)
        self._structures.show(session.result.quality, session.nodes, dice)

    def _on_open_folder(self, checked: bool = False) -> None:
        if self.session is not None and self.session.result is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self.session.result.folder)))

    def _on_copy_report(self, checked: bool = False) -> None:
        qt.QApplication.clipboard().setText(self.report())

    def report(self) -> str:
        """The report as plain text."""
        torch = self._describe_torch()
        return report(None, None, [], torch) if self.session is None else report_of(self.session, torch)
