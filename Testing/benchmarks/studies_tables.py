"""The tables of trained methods: made from the kept lines, written between the markers of the methods' pages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t

from .markdown import table
from .rows import Line, Store, newest_of_any_budget
from .studies import STUDIES, Study
from .studies_run import FIGURES, METHOD, REFINED

_SOURCES = ("segmentation", "registration")
TITLES = {"none": "method alone", "images": "refined by images", "joint": "refined by images and segmentation"}
TITLES["optimisation"] = "optimisation alone"
_HEAD = ("preset", "labels", "minutes", "steps", "subjects", "segmentation", "registration")
_BESIDE = ("segmentation, less", "registration, less", "commit")
_ARMS = ("arm", "subjects", "registration", "fused", "folding %", "SDlogJ", "NCC", "s")


def write_tables(kept: Path, folder: Path) -> list[Path]:
    """Fill every marked place of the pages in `folder`; returns the pages that have one."""
    written = []
    for page in sorted(folder.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = filled(text, page.stem, Store(kept))
        if new != text:
            page.write_text(new, encoding="utf-8")
        if any(markers(name)[0] in text for name in STUDIES):
            written.append(page)
    return written


def filled(text: str, method: str, store: Store) -> str:
    """A method's page with its tables between the markers."""
    for part in STUDIES.values():
        rows = [row for row in part.rows if row.method == method]
        text = between(text, part.name, method_text(rows, store.lines(part.name)))
    return text


def markers(name: str) -> tuple[str, str]:
    """What stands before and after the tables of a part."""
    return f"<!-- rows:{name} -->", f"<!-- /rows:{name} -->"


def between(text: str, name: str, new: str) -> str:
    """The text with `new` between the markers; as it is where it has none."""
    first, last = markers(name)
    if first not in text:
        return text
    before, rest = text.split(first, 1)
    return f"{before}{first}\n{new}{last}{rest.split(last, 1)[1]}"


def method_text(rows: list[Study], lines: list[Line]) -> str:
    """All tables of a method's rows."""
    found = {row.name: line for row in rows if (line := newest_of_any_budget(lines, row))}
    shown = [(row, found[row.name]) for row in rows if row.name in found]
    text = []
    if shown:
        text.append(
            f"Mean Dice of the method alone; {machines_of(found.values())}. Differences are means over subjects"
        )
        text.append("with their 95 % interval (Student's t), between rows of the same budget.\n")
        text.append(table((*_HEAD, *_BESIDE), [_row(row, line, found.get(row.beside)) for row, line in shown]))
        refined = [cells for row, line in shown for cells in _arms(row, line)]
        if refined:
            text += [f"What refines them, on the first test subjects by id:\n\n{table(('row', *_ARMS), refined)}"]
    absent = [f"`{row.name}`" for row in rows if row.name not in found]
    text.append(f"Rows not run: {', '.join(absent) or 'none'}.\n")
    return "\n".join(text)


def difference(own: dict[str, float], other: dict[str, float]) -> tuple[float, float]:
    """Mean of own - other over the subjects of both, and half of its 95 % interval; at least two subjects."""
    values = [own[name] - other[name] for name in own if name in other]
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return mean(values), float(half)


def _row(row: Study, line: Line, beside: Line | None) -> tuple[str, ...]:
    own, budget = line["dice"][METHOD], line["budget"]
    cells = [row.label, str(row.labelled), f"{budget['train_minutes']:g}", str(line["steps"])]
    cells += [str(len(own["registration"]))]
    cells += [_dice(own, source) for source in _SOURCES]
    for source in _SOURCES:
        if source not in own or beside is None or beside["budget"]["train_minutes"] != budget["train_minutes"]:
            cells.append("-")
            continue
        value, half = difference(own[source], beside["dice"][METHOD][source])
        cells.append(f"`{row.beside.split('/')[2]}`: {value:+.4f} ± {half:.4f}")
    return (*cells, line["commit"])


def _arms(row: Study, line: Line) -> list[tuple[str, ...]]:
    """A line for each arm over the subjects that were refined; none where nothing was."""
    dice, figures = line["dice"], line["figures"]
    if REFINED[0] not in dice:
        return []
    few = list(dice[REFINED[0]]["registration"])
    rows = []
    for arm in (arm for arm in (METHOD, *REFINED) if arm in dice):
        overlaps = [dice[arm].get(source) for source in ("registration", "fused")]
        cells = [f"{_mean(scores, few):.4f}" if scores else "-" for scores in overlaps]
        cells += [f"{_mean(figures[arm][name], few):.3f}" for name in FIGURES]
        rows.append((f"{row.label}, {row.labelled}", TITLES[arm], str(len(few)), *cells))
    return rows


def _dice(scores: dict[str, dict[str, float]], source: str) -> str:
    """Mean Dice of a source of labels; a method that does not segment lacks one."""
    return f"{mean(scores[source].values()):.4f}" if source in scores else "-"


def _mean(values: dict[str, float | None], subjects: list[str]) -> float:
    """Over the subjects that have a value."""
    known = [value for name in subjects if (value := values[name]) is not None]
    return mean(known) if known else float("nan")


def machines_of(lines: Iterable[Line]) -> str:
    """The processors, threads and devices that lines were measured with."""
    found = set()
    for line in lines:
        machine, budget = line["machine"], line["budget"]
        threads = f"{budget['threads']} thread{'s' if budget['threads'] != 1 else ''}"
        found.add(f"{machine['processor']}, {machine['cores']} cores, {threads}, {budget['device']}")
    return "; ".join(sorted(found))
