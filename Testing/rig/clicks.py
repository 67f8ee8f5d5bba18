"""A user's mouse."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtTest


def click(widget: Any) -> None:
    """Click a widget in its middle; a disabled one does not notice."""
    QtTest.QTest.mouseClick(widget, QtCore.Qt.MouseButton.LeftButton)


def click_cell(table: Any, row: int, column: int) -> None:
    """Click a cell of a table."""
    place = table.visualItemRect(table.item(row, column)).center()
    QtTest.QTest.mouseClick(table.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)


def click_header(table: Any, column: int) -> None:
    """Click the heading of a column."""
    header = table.horizontalHeader()
    place = QtCore.QPoint(header.sectionViewportPosition(column) + 4, 4)
    QtTest.QTest.mouseClick(header.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
