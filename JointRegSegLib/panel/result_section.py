"""The panel's last section: what came out of a run, and ways to look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from . import summary, views
from .run_session import RunSession


class ResultSection:
    """Shows one ended run. Nodes are remembered by ID: the user may delete any of them.

    Args:
        ui: the panel's widgets by name.
        describe_torch: one line about PyTorch, for the report.
    """

    def __init__(self, ui: Any, describe_torch: Callable[[], str]) -> None:
        self._ui = ui
        self._describe_torch = describe_torch
        self._session: RunSession | None = None
        self._ids: dict[str, str] = {}
        ui.gridButton.connect("toggled(bool)", self._on_show_grid)
        ui.jacobianButton.connect("toggled(bool)", self._on_show_jacobian)
        ui.openFolderButton.connect("clicked(bool)", self._on_open_folder)
        ui.copyReportButton.connect("clicked(bool)", self._on_copy_report)
        self.clear()

    def clear(self) -> None:
        """Show that there is no run."""
        self._session = None
        self._ids = {}
        self._ui.summaryLabel.text = _("No run yet.")
        self._enable(False)

    def show(self, session: RunSession) -> None:
        """Show a run that has finished or failed."""
        self._session = session
        finished = session.result is not None
        if finished:
            nodes = session.nodes
            self._ids = {"field": nodes.transform.GetID(), "jacobian": nodes.jacobian.GetID()}
            self._ui.summaryLabel.text = summary.to_html(session.result.quality, session.notes)
            views.show_result(slicer.mrmlScene.GetNodeByID(session.target_id), nodes.warped_atlas)
        else:
            self._ui.summaryLabel.text = _("The run gave no result.")
        self._enable(finished)

    def _enable(self, enabled: bool) -> None:
        ui = self._ui
        for button in (ui.gridButton, ui.jacobianButton):
            button.checked = False
            button.enabled = enabled
        ui.openFolderButton.enabled = enabled

    def _node(self, key: str) -> Any:
        return slicer.mrmlScene.GetNodeByID(self._ids[key]) if key in self._ids else None

    def _on_show_grid(self, visible: bool) -> None:
        field = self._node("field")
        if field is not None:
            views.show_grid(field, visible)

    def _on_show_jacobian(self, visible: bool) -> None:
        jacobian = self._node("jacobian")
        if jacobian is not None:
            views.show_jacobian(jacobian, visible)

    def _on_open_folder(self, checked: bool = False) -> None:
        if self._session is not None and self._session.result is not None:
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(self._session.result.folder)))

    def _on_copy_report(self, checked: bool = False) -> None:
        qt.QApplication.clipboard().setText(self.report())

    def report(self) -> str:
        """The report as plain text."""
        session = self._session
        if session is None:
            return summary.report(None, None, [], self._describe_torch())
        return summary.report(session.result, session.error, session.notes, self._describe_torch())
