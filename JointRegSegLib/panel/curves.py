"""Losses and scores of a training in a plot view, while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..job import JobError
from ..scene import CurvesPlot
from ..training.curves import Series, series_of
from .background import Background

_SECONDS = 2
_SCORES = "validation/"


class Curves:
    """The button and the choice that show curves.

    Args:
        ui: the panel's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._path = Path()
        self._background = Background()
        self._plots: dict[bool, CurvesPlot] = {}
        self._shown = False
        self._timer = qt.QTimer()
        self._timer.setInterval(1000 * _SECONDS)
        self._timer.timeout.connect(self._read)
        ui.curvesComboBox.addItem(_("Losses"))
        ui.curvesComboBox.addItem(_("Validation scores"))
        ui.curvesComboBox.connect("currentIndexChanged(int)", self._on_choose)
        ui.curvesButton.connect("toggled(bool)", self._on_toggle)

    def follow(self, path: Path, is_growing: bool) -> None:
        """Show this file of curves from now on."""
        ended = self._timer.active and not is_growing
        self._path = path
        self._ui.curvesButton.enabled = is_growing or path.is_file()
        if self._ui.curvesButton.checked and is_growing != self._timer.active:
            self._timer.start() if is_growing else self._timer.stop()
        if ended and self._ui.curvesButton.checked:
            self._read()

    def close(self) -> None:
        """Read nothing any more."""
        self._timer.stop()
        self._background.close()

    def _on_toggle(self, checked: bool) -> None:
        self._shown = False
        if checked:
            self._read()
            self._timer.start()
        else:
            self._timer.stop()

    def _on_choose(self, index: int) -> None:
        self._shown = False
        if self._ui.curvesButton.checked:
            self._read()

    def _read(self) -> None:
        path = self._path
        if not self._background.is_busy:
            self._background.start(lambda: series_of(path), self._draw)

    def _draw(self, series: Series | None, error: JobError | None) -> None:
        scores = self._ui.curvesComboBox.currentIndex == 1
        chosen = {name: curve for name, curve in (series or {}).items() if name.startswith(_SCORES) is scores}
        if not chosen or not self._ui.curvesButton.checked:
            return
        title = _("Validation scores") if scores else _("Losses")
        plot = self._plots.setdefault(scores, CurvesPlot(slicer.mrmlScene, title))
        plot.update(chosen)
        if not self._shown:
            self._shown = plot.show()
