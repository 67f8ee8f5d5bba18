"""The page of tables, made from the lines that are kept with the project."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from . import guides_tables, structures_tables
from .bars import bar_rows
from .markdown import table
from .parts import PARTS, PEERS, Part, Row
from .rows import Line, Store, newest
from .structures_tables import Scores

_HEAD = """\
# Benchmarks

Made by `python -m Testing.benchmarks --tables` from the lines in `docs/benchmarks/`; do not edit.
`make bench DATA=folder` runs the short part, `make bench PART=name DATA=folder` another one. `folder` holds the data
sets `oasis/` (`NNNN_t1.nii.gz`, `NNNN_labels.nii.gz`, `labels.csv`), `abdomen_ct/` (`NN_ct`, `NN_labels`) and
`hippocampus/` (`NNN_mr`, `NNN_labels`). A row that is there already is skipped; one that was cut short runs again.
What is measured of trained methods and of their networks stands with [the methods](methods).

How it is measured: every row is a process of its own. **CPU s** are the CPU seconds of all threads for reading, affine,
deformable stage and both fields in memory; **command** is the whole command, with imports, writing and (ours) quality
checks. SyN's figure includes writing its transforms: its Python interface does not leave that out. **Dice** is the mean
over the scored labels that the target has, nearest neighbor; a label that is missing from the result counts 0.
**Folding** and **SDlogJ** are from central differences of the total field, over the target's voxels above 0. **Peak**
is the process's largest resident memory until the fields are there, and of the whole command.
"""
DRAWN = ("abdomen-pairs",)
"""Parts whose structures are shown one by one."""
_TEXTS = {
    "abdomen-pairs": """\
convexAdam runs with its defaults (MIND features), as its authors run it on abdominal CT: behind an affine, here
greedy's, and on 2 mm voxels. Its **CPU s** are of both. It computes no inverse field.
"""
}
_COLUMNS = ("Dice", "SDlogJ", "folding %", "CPU s", "s", "command CPU s", "peak MB", "command peak MB")
_KEYS = (
    "dice",
    "sdlogj",
    "folding_percent",
    "cpu_seconds",
    "seconds",
    "command_cpu_seconds",
    "peak_mb",
    "command_peak_mb",
)
_FORMATS = ("{:.4f}", "{:.3f}", "{:.4f}", "{:.1f}", "{:.1f}", "{:.1f}", "{:.0f}", "{:.0f}")


def write_tables(kept: Path, page: Path) -> None:
    """Write the page of all parts from the lines in `kept`."""
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(page_text(kept), encoding="utf-8")


def page_text(kept: Path) -> str:
    """The page as text; parts and rows without figures are named."""
    store = Store(kept)
    parts = (_part_text(part, store) for part in PARTS.values())
    return "\n".join([_HEAD, *parts, guides_tables.section(store)])


def scores(store: Store) -> dict[str, Scores]:
    """Each structure's Dice of the parts that are drawn and have lines."""
    found = {name: _scores(_sorted_out(PARTS[name], store)[1]) for name in DRAWN}
    return {name: each for name, each in found.items() if each}


def _scores(shown: dict[Row, Line]) -> Scores:
    return structures_tables.collected((row.label, row.dataset, line) for row, line in shown.items())


def _sorted_out(part: Part, store: Store) -> tuple[dict[Row, Line], dict[Row, Line], str, list[Row]]:
    """The latest line of each row, those that are shown, the engine of ours, and the rows that another engine made."""
    lines = store.lines(part.name)
    latest = {row: line for row in part.rows if (line := newest(lines, row))}
    code, outdated = _present_code(latest)
    return latest, {row: line for row, line in latest.items() if row not in outdated}, code, outdated


def _part_text(part: Part, store: Store) -> str:
    latest, shown, code, outdated = _sorted_out(part, store)
    text = [f"## {part.name}\n", f"{part.about[0].upper()}{part.about[1:]}.\n"]
    if part.name in _TEXTS:
        text.append(_TEXTS[part.name])
    if shown:
        text += [_origin(shown.values(), code), _means(part, shown)]
        bars = bar_rows(part, shown)
        if bars:
            text.append(table(("bar", "wanted", "found", ""), bars))
        if part.name in DRAWN:
            text += structures_tables.section(part.name, _scores(shown), store.folder, store.folder.name)
            text += _cautions(shown)
        text.append(table(("pair", "method", *_COLUMNS), [_row_cells(row, line) for row, line in shown.items()]))
    absent = [row for row in part.rows if row not in latest]
    if outdated:
        text.append(f"Rows run with an older engine only, left out: {_names(part, outdated)}.\n")
    text.append(f"Rows not run: {_names(part, absent)}.\n" if absent else "Rows not run: none.\n")
    return "\n".join(text)


def _present_code(latest: dict[Row, Line]) -> tuple[str, list[Row]]:
    """The engine of the newest of our lines, and our rows that another engine made."""
    ours = {row: line for row, line in latest.items() if row.method not in PEERS}
    if not ours:
        return "", []
    code = max(ours.values(), key=lambda line: line["date"])["code"]
    return code, [row for row, line in ours.items() if line["code"] != code]


def _origin(lines: Iterable[Line], code: str) -> str:
    found = list(lines)
    commits = sorted({line["commit"] for line in found if line["code"] == code} - {""})
    peers = sorted({line["code"] for line in found if line["code"] != code})
    machines = sorted({f"{line['machine']['processor']}, {line['machine']['cores']} cores" for line in found})
    budgets = {(line["budget"]["threads"], line["budget"]["device"]) for line in found}
    words = [f"commit {', '.join(commits)} ({code})" if code else "", ", ".join(peers), "; ".join(machines)]
    words += [f"{threads} threads, {device}" for threads, device in sorted(budgets)]
    return "; ".join(word for word in words if word) + ".\n"


def _means(part: Part, shown: dict[Row, Line]) -> str:
    rows = []
    for label, change in dict.fromkeys((row.label, row.change) for row in part.rows):
        wanted = [row for row in part.rows if (row.label, row.change) == (label, change)]
        lines = [shown[row] for row in wanted if row in shown]
        if lines:
            values = [mean(line[key] for line in lines) for key in _KEYS]
            rows.append((label, change or "-", f"{len(lines)} of {len(wanted)}", *_formatted(values)))
    return table(("means", "change", "pairs", *_COLUMNS), rows)


def _row_cells(row: Row, line: Line) -> tuple[str, ...]:
    return row.pair, row.label, *_formatted([line[key] for key in _KEYS])


def _formatted(values: Sequence[float]) -> list[str]:
    return [form.format(value) for form, value in zip(_FORMATS, values, strict=True)]


def _cautions(shown: dict[Row, Line]) -> list[str]:
    """Which pairs our own runs warned of, by caution; nothing where there was none."""
    pairs: dict[str, list[str]] = {}
    for row, line in shown.items():
        for code in line.get("cautions", ()):
            pairs.setdefault(code, []).append(f"{row.atlas} to {row.target} ({row.label})")
    told = "; ".join(f"`{code}` at {', '.join(where)}" for code, where in sorted(pairs.items()))
    return [f"Cautions of our runs: {told}.\n"] if told else []


def _names(part: Part, rows: list[Row]) -> str:
    """The names of rows; all rows of a method, where there are several, in one."""
    names = []
    for label in dict.fromkeys(row.label for row in rows):
        named, whole = ([row for row in group if row.label == label] for group in (rows, part.rows))
        if len(named) == len(whole) > 1:
            names.append(f"all {len(whole)} of {label}")
        else:
            names += [f"`{row.name}`" for row in named]
    return ", ".join(names)
