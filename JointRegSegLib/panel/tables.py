"""Rows in a table widget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

_ROW_HEIGHT = 22


def set_up(table: Any, headers: Sequence[str]) -> None:
    """Give a table its columns; the first takes the room that the others leave."""
    table.setColumnCount(len(headers))
    table.setHorizontalHeaderLabels(list(headers))
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
    header = table.horizontalHeader()
    for column in range(len(headers)):
        header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents if column else qt.QHeaderView.Stretch)


Cell = str | float | None


def fill(table: Any, rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
    """Show rows, each as a key, which `selected_keys` gives back, and its cells; numbers are sorted as such."""
    if [key_at(table, row) for row in range(table.rowCount)] == [key for key, _ in rows]:
        _write(table, rows)  # the same rows: nothing moves under the user's mouse
        return
    kept = selected_keys(table)
    before = table.blockSignals(True)
    sorts = bool(table.sortingEnabled)
    table.sortingEnabled = False  # else rows move while they are filled
    table.setRowCount(len(rows))
    for row, (key, cells) in enumerate(rows):
        for column in range(len(cells)):
            item = qt.QTableWidgetItem()
            item.setData(qt.Qt.UserRole, key)
            table.setItem(row, column, item)
    _write(table, rows)
    for row, (key, _) in enumerate(rows):
        if key in kept:
            table.selectRow(row)
    table.sortingEnabled = sorts
    table.blockSignals(before)


def _write(table: Any, rows: Sequence[tuple[str, Sequence[Cell]]]) -> None:
    """Put cells into the rows that are there."""
    sorts = bool(table.sortingEnabled)
    table.sortingEnabled = False
    for row, (_, cells) in enumerate(rows):
        for column, cell in enumerate(cells):
            item = table.item(row, column)
            if item.data(qt.Qt.DisplayRole) != cell:
                item.setData(qt.Qt.DisplayRole, cell)
                item.setToolTip("" if cell is None else str(cell))
    table.sortingEnabled = sorts


def selected_keys(table: Any) -> list[str]:
    """The keys of the rows that the user selected."""
    rows = sorted({index.row() for index in table.selectionModel().selectedRows()})
    return [key_at(table, row) for row in rows]


def key_at(table: Any, row: int) -> str:
    """The key of a row; empty where there is no such row."""
    item = table.item(row, 0)
    return "" if item is None else str(item.data(qt.Qt.UserRole))
