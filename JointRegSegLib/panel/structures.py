"""The table of the structures that a run found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..job import QualityTable
from ..scene import RunNodes, jump_to
from . import tables


class StructuresTable:
    """Name, volume, confidence, share to look at and, with a reference, Dice; a click shows the structure.

    Args:
        table: the table widget.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._nodes: RunNodes | None = None
        self._headers = [_("Structure"), _("ml"), _("Confidence"), _("Look at, %"), _("Dice")]
        tables.set_up(table, self._headers)
        table.sortingEnabled = True
        table.connect("cellClicked(int,int)", self._on_click)

    def clear(self) -> None:
        """Show no structure."""
        self._nodes = None
        tables.fill(self._table, [])

    def show(self, quality: QualityTable, nodes: RunNodes, dice: Mapping[int, float]) -> None:
        """Show the structures of a result; those without a reference have no Dice."""
        self._nodes = nodes
        rows: list[tuple[str, list[tables.Cell]]] = []
        for label in quality.labels:
            cells: list[tables.Cell] = [label.name, round(label.volume_ml, 3)]
            cells.append(None if label.confidence is None else round(label.confidence, 3))
            cells.append(None if label.review is None else round(100.0 * label.review, 1))
            cells.append(round(dice[label.value], 3) if label.value in dice else None)
            rows.append((str(label.value), cells))
        tables.fill(self._table, rows)
        for column in range(2, len(self._headers)):
            self._table.setColumnHidden(column, all(cells[column] is None for _, cells in rows))

    def _on_click(self, row: int, column: int) -> None:
        key = tables.key_at(self._table, row)
        if self._nodes is not None and key:
            jump_to(slicer.mrmlScene, self._nodes, int(key))
