"""The panel's last section: what came out of a run, and ways to look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..scene import RunNodes, show, show_grid
from . import summary
from .run_session import RunSession


class ResultSection:
    """Shows one ended run. The user may have deleted any of its nodes.

    Args:
        ui: the panel's widgets by name.
        describe_torch: one line about PyTorch, for the report.
    """

    def __init__(self, ui: Any, describe_torch: Callable[[], str]) -> None:
        self._ui = ui
        self._describe_torch = describe_torch
        self._session: RunSession | None = None
        self._nodes: RunNodes | None = None
        ui.gridButton.connect("toggled(bool)", self._on_show_grid)
        ui.jacobianButton.connect("toggled(bool)", self._on_show_jacobian)
        ui.openFolderButton.connect("clicked(bool)", self._on_open_folder)
        ui.copyReportButton.connect("clicked(bool)", self._on_copy_report)
        self.clear()

    def clear(self) -> None:
        """Show that there is no run."""
        self._session = None
        self._nodes = None
        self._ui.summaryLabel.text = _("No run yet.")
        self._enable(False)

    def show(self, session: RunSession) -> None:
        """Show a run that has finished or failed."""
        self._session = session
        self._nodes = session.nodes
        if session.result is None:
            self._ui.summaryLabel.text = _("The run gave no result.")
        else:
            self._ui.summaryLabel.text = summary.to_html(session.result.quality, session.notes)
            show(slicer.mrmlScene, session.nodes, session.target_id)
        self._enable(session.result is not None)

    def _enable(self, enabled: bool) -> None:
        ui = self._ui
        for button in (ui.gridButton, ui.jacobianButton):
            button.checked = False
            button.enabled = enabled
        ui.openFolderButton.enabled = enabled

    def _on_show_grid(self, visible: bool) -> None:
        transform = slicer.mrmlScene.GetNodeByID(self._nodes.deformation) if self._nodes is not None else None
        if transform is not None and transform.GetDisplayNode() is not None:
            show_grid(transform, visible)

    def _on_show_jacobian(self, visible: bool) -> None:
        """Over the target, half transparent; the warped atlas is there otherwise, hidden."""
        if self._nodes is not None:
            shown = slicer.mrmlScene.GetNodeByID(self._nodes.jacobian if visible else self._nodes.warped_atlas)
            slicer.util.setSliceViewerLayers(foreground=shown, foregroundOpacity=0.5 if visible else 0.0)

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
