"""Tables of label names and colours: Slicer's CSV and .ctbl, and plain lists of value and name."""

from __future__ import annotations

import csv
from pathlib import Path

from ..job.errors import Code, JobError
from .labels import MAX_VALUE, Label, LabelTable
from .terminology import COLUMNS, CONTEXT, REGION_CONTEXT

_VALUE = ("labelvalue", "value", "label", "index", "id")
_NAME = ("name", "labelname", "structure")
_COLOR = (("color_r", "r", "red"), ("color_g", "g", "green"), ("color_b", "b", "blue"))
_UNDEFINED = "(none)"


def read_label_table(path: Path) -> LabelTable:
    """The labels in a colour table of Slicer (.csv, .ctbl, .txt) or in a CSV of `value,name`.

    A row for 0 (background) is passed over. Missing names and colours get defaults; further columns are passed over.

    Raises `JobError`: FILE_MISSING, FILE_UNREADABLE, LABEL_TABLE_INVALID with the line.
    """
    path = Path(path)
    if not path.exists():
        raise JobError(Code.FILE_MISSING, f"There is no label table {path}.", "Check the path.")
    lines = [(number, line.strip()) for number, line in enumerate(_text(path).splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    delimiter = next((mark for mark in (",", ";", "\t") if lines and mark in lines[0][1]), None)
    rows = _columns(path, lines, delimiter) if delimiter else _color_table(path, lines)
    labels: dict[int, Label] = {}
    for number, label in rows:
        if label.value in labels:
            raise _invalid(path, number, f"value {label.value} occurs a second time")
        if label.value:
            labels[label.value] = label
    if not labels:
        raise JobError(
            Code.LABEL_TABLE_INVALID, f"The label table {path} names no label.", "Give lines such as 1,liver."
        )
    return LabelTable(labels.values())


def write_label_table(path: Path, table: LabelTable) -> None:
    """Write Slicer's CSV, with those columns of terminology that any label fills; `OSError` where that fails."""
    used = {column for label in table.values() for column in label.terminology}
    columns = [column for column in (*COLUMNS, CONTEXT, REGION_CONTEXT) if column in used]
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("LabelValue", "Name", "Color_R", "Color_G", "Color_B", "Color_A", *columns))
        for label in table.values():
            codes = (label.terminology.get(column, "") for column in columns)
            writer.writerow((label.value, " ".join(label.name.split()), *label.color, 255, *codes))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise JobError(
            Code.FILE_UNREADABLE, f"The label table {path} cannot be read: {problem.strerror}.", "Check the file."
        ) from problem
    if b"\0" in data:
        raise JobError(
            Code.LABEL_TABLE_INVALID, f"The label table {path} is not a text file.", "Give a .csv, .ctbl or .txt file."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _columns(path: Path, lines: list[tuple[int, str]], delimiter: str) -> list[tuple[int, Label]]:
    """Rows of a CSV; a first row without a number is its header."""
    cells = [(n, [c.strip() for c in next(csv.reader([line], delimiter=delimiter))]) for n, line in lines]
    header = ["value", "name"]
    if not _is_number(cells[0][1][0]) or not cells[0][1][0]:
        header = [cell.lower() for cell in cells.pop(0)[1]]
    if not any(name in header for name in _VALUE):
        raise _invalid(path, lines[0][0], "there is no column called LabelValue or value")
    found = []
    for number, row in cells:
        fields = dict(zip(header, row, strict=False))
        value = _number(path, number, _first(fields, _VALUE), MAX_VALUE)
        channels = [_first(fields, names) for names in _COLOR]
        color = [_number(path, number, text, 255) for text in channels] if all(channels) else None
        terminology = {
            column: fields[column.lower()]
            for column in (*COLUMNS, CONTEXT, REGION_CONTEXT)
            if fields.get(column.lower())
        }
        found.append((number, _label(value, _first(fields, _NAME), color, terminology)))
    return found


def _color_table(path: Path, lines: list[tuple[int, str]]) -> list[tuple[int, Label]]:
    """Rows of `index name red green blue alpha`, the underscores in names standing for spaces."""
    found = []
    for number, line in lines:
        words = line.split()
        if len(words) not in (2, 5, 6):
            raise _invalid(path, number, f"“{line[:60]}” is not index, name, red, green, blue, alpha")
        value = _number(path, number, words[0], MAX_VALUE)
        color = [_number(path, number, word, 255) for word in words[2:5]] or None
        if words[1] != _UNDEFINED:
            found.append((number, _label(value, words[1].replace("_", " "), color, {})))
    return found


def _label(value: int, name: str, color: list[int] | None, terminology: dict[str, str]) -> Label:
    default = Label.default(value)
    red, green, blue = color or default.color
    return Label(value, name or default.name, (red, green, blue), terminology)


def _first(fields: dict[str, str], names: tuple[str, ...]) -> str:
    return next((fields[name] for name in names if fields.get(name)), "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(path: Path, line: int, text: str, most: int) -> int:
    value = float(text) if _is_number(text) else -1.0
    if not (0 <= value <= most and value == int(value)):
        raise _invalid(path, line, f"“{text[:60]}” is not a whole number from 0 to {most}")
    return int(value)


def _invalid(path: Path, line: int, what: str) -> JobError:
    return JobError(
        Code.LABEL_TABLE_INVALID,
        f"Line {line} of the label table {path} cannot be used: {what}.",
        "Give a colour table of Slicer (.csv, .ctbl) or lines of value,name.",
    )
