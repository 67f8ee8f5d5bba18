"""Reading the tables that users write: CSV files with a line of column names."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import JobError

Refuse = Callable[[str, str], JobError]
"""The error for a table that cannot be used, from what is wrong and what to do about it."""
Row = dict[str | Any, Any]
"""As `csv.DictReader` gives it."""


def read_table(path: Path, refuse: Refuse) -> tuple[list[str], list[tuple[int, Row]]]:
    """The column names, and each line's number and row; raises what `refuse` makes where the file is no CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise refuse(f"it is no CSV ({problem})", "Save it as UTF-8 text with commas.") from problem


def cells_of(line: int, row: Row, refuse: Refuse) -> dict[str, str]:
    """A line's cells by column, without spaces around them; raises what `refuse` makes where it has more than that."""
    if any(cell.strip() for cell in row.get(None, ())):
        raise refuse(
            f"line {line} has more cells than the first line has columns",
            "Name each column in the first line, and put quotes around a cell that holds a comma.",
        )
    return {name: (cell or "").strip() for name, cell in row.items() if name is not None}
