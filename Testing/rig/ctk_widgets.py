"""Stand-ins of the CTK widgets that the panel uses, and of those that Slicer's parameter nodes ask the type of."""

from __future__ import annotations

import sys
import types
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import UI_CLASSES, qt

_HEADER = 24


class ctkCollapsibleButton(qt.QWidget):
    """A titled section that folds."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._title = ""
        self._folded = False
        self._hidden: list[Any] = []
        self.setContentsMargins(0, _HEADER, 0, 0)
        self.setMinimumHeight(_HEADER)

    def _set_title(self, title: str) -> None:
        self._title = title
        self.update()

    def _set_folded(self, folded: bool) -> None:
        if folded == self._folded:
            return
        self._folded = folded
        if folded:
            children = [c for c in self.children() if isinstance(c, QtWidgets.QWidget)]
            self._hidden = [child for child in children if not child.isHidden()]
        for child in self._hidden:
            child.setVisible(not folded)
        self.setMaximumHeight(_HEADER if folded else 16777215)
        self.contentsCollapsed.emit(folded)

    text = QtCore.Property(str, lambda self: self._title, _set_title)
    collapsed = QtCore.Property(bool, lambda self: self._folded, _set_folded)

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() < _HEADER:
            self.collapsed = not self.collapsed

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        bar = QtCore.QRect(0, 0, self.width, _HEADER - 4)
        painter.fillRect(bar, QtGui.QColor("#d9dde2"))
        middle = QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(bar.adjusted(6, 0, 0, 0), middle, "\u25b8" if self._folded else "\u25be")
        painter.drawText(bar.adjusted(22, 0, 0, 0), middle, self._title)
        painter.end()


_ASKED_FOR = {
    "ctkCheckBox": "QCheckBox",
    "ctkCheckablePushButton": "QPushButton",
    "ctkColorPickerButton": "QPushButton",
    "ctkComboBox": "QComboBox",
    "ctkDirectoryButton": "QPushButton",
    "ctkDoubleRangeSlider": "QWidget",
    "ctkDoubleSlider": "QSlider",
    "ctkDoubleSpinBox": "QDoubleSpinBox",
    "ctkMessageBox": "QMessageBox",
    "ctkPathLineEdit": "QLineEdit",
    "ctkRangeWidget": "QWidget",
    "ctkSliderWidget": "QSlider",
}


def install() -> types.ModuleType:
    """Put `ctk` into `sys.modules`."""
    ctk = types.ModuleType("ctk")
    ctk.ctkCollapsibleButton = ctkCollapsibleButton
    for name, base in _ASKED_FOR.items():
        setattr(ctk, name, type(name, (getattr(qt, base),), {}))
    UI_CLASSES["ctkCollapsibleButton"] = ctkCollapsibleButton
    sys.modules["ctk"] = ctk
    return ctk
