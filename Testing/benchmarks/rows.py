"""Finished rows on disk: one JSON line each, kept however the process ends."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .parts import PARTS, AnyRow, Part

Line = dict[str, Any]


def read_lines(file: Path) -> list[Line]:
    """The lines of a file, oldest first; none where there is no file. A line that was cut off is left out."""
    lines = []
    for text in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and "row" in line:
            lines.append(line)
    return lines


def append_line(file: Path, line: Line) -> None:
    """Add one line and put it on the disk before returning."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = not file.is_file() or not file.stat().st_size or file.read_bytes().endswith(b"\n")
    text = ("" if whole else "\n") + json.dumps(line, sort_keys=True) + "\n"
    with file.open("ab") as stream:
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())


class Store:
    """The lines of one folder, a file for each part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(self, part: str) -> list[Line]:
        """All lines of a part, oldest first."""
        return read_lines(self.folder / f"{part}.jsonl")

    def add(self, line: Line) -> None:
        """Add a finished or failed row."""
        append_line(self.folder / f"{line['part']}.jsonl", line)

    def has(self, row: AnyRow, code: str) -> bool:
        """Whether this row, with these settings and this code, has figures."""
        found = (line for line in self.lines(row.part) if line["row"] == row.name)
        return any(line["key"] == row.key and line["code"] == code and "error" not in line for line in found)


def newest(lines: Iterable[Line], row: AnyRow) -> Line | None:
    """The last line with figures for a row with its present settings, or None."""
    found = [line for line in lines if line["row"] == row.name and line["key"] == row.key and "error" not in line]
    return found[-1] if found else None


def newest_of_any_budget(lines: Iterable[Line], row: AnyRow) -> Line | None:
    """The last line with figures for a row whose budget is its user's choice, or None."""
    found = [line for line in lines if line["row"] == row.name and "error" not in line]
    found = [line for line in found if line["settings"] == row.settings]
    return found[-1] if found else None


def record(
    results: Store,
    kept: Path,
    parts: Iterable[Part] = PARTS.values(),
    latest: Callable[[Iterable[Line], AnyRow], Line | None] = newest,
) -> None:
    """Copy the latest line of every row to the files in `kept`, from which the tables are made.

    Rows without a new line keep the line they had; lines of rows that are gone are dropped.
    """
    old = Store(kept)
    for part in parts:
        lines = old.lines(part.name) + results.lines(part.name)
        chosen = [line for row in part.rows if (line := latest(lines, row))]
        if not chosen:
            continue
        kept.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in chosen)
        (kept / f"{part.name}.jsonl").write_text(text, encoding="utf-8")
