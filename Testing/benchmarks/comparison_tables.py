"""The page that puts all trained methods side by side, and beside the optimisation alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import mean

from .markdown import table
from .rows import Line, Store, newest_of_any_budget
from .studies import BRAIN, STUDIES, Study
from .studies_run import METHOD, REFINED
from .studies_tables import TITLES, difference, machines_of

PAGE = "comparison.md"

_TEXT = """\
# The trained methods side by side

Made by `python -m Testing.benchmarks --tables` from the lines in `docs/benchmarks/`; do not edit. Each method's own
page says what it is and reads its figures; differences to the same networks trained alone stand there.
"""
_SMALL = """\
## Hippocampus

`make bench PART=few-shot DATA=folder`: 80 small MR crops train, `labels` of them labelled; the first atlas is carried
to 18 others. Mean Dice of the method alone, before anything refines its field. MMLN trains without labels and does not
segment; its `labels` are the atlases that validation carries over.
"""
_LARGE = """\
## Brain, not converged

`make bench PART=brain-methods DATA=folder`: 15 T1 brains with 134 scored labels, 5 of them atlases, 8 unlabelled, 2 to
validate; the first atlas is carried to the 8, which train without labels. All scans are at 2 mm, and train behind an
affine onto the first one, as the papers' do. Networks see 4 mm voxels; what refines them sees 2 mm. **None of these
trainings has converged**: they ended after the minutes and steps in the table, on a CPU. Registration is the Dice of
the carried labels, final that of the labels of a run: fused where the method segments, else carried. Differences are
those to the optimisation alone on the same pairs, with their 95 % interval (Student's t).
"""
_COLUMNS = ("method", "preset", "labels", "minutes", "steps", "subjects")
_FEW = (*_COLUMNS, "segmentation", "registration", "folding %", "s", "commit")
_BRAINS = (*_COLUMNS, "arm", "registration", "final", "folding %", "s")
_LESS = ("registration, less", "final, less", "s, less")


def write_table(kept: Path, folder: Path) -> Path:
    """Write the page; returns it."""
    page = folder / PAGE
    page.write_text(page_text(Store(kept)), encoding="utf-8")
    return page


def page_text(store: Store) -> str:
    """The page as text; rows that were not run are named."""
    return "\n".join([_TEXT, *_section(store, "few-shot", _SMALL, _FEW), *_section(store, BRAIN, _LARGE, _BRAINS)])


def _section(store: Store, name: str, text: str, head: tuple[str, ...]) -> list[str]:
    rows: tuple[Study, ...] = STUDIES[name].rows
    found = {row.name: line for row in rows if (line := newest_of_any_budget(store.lines(name), row))}
    shown = [(row, found[row.name]) for row in rows if row.name in found]
    brain = name == BRAIN
    cells = [cells for row, line in shown for cells in (_arms(row, line) if brain else [_alone(row, line)])]
    absent = ", ".join(f"`{row.name}`" for row in rows if row.name not in found)
    measured = [f"{machines_of(found.values())}.\n", table((*head, *_LESS) if brain else head, cells)] if cells else []
    return [text, *measured, f"Rows not run: {absent or 'none'}.\n"]


def _alone(row: Study, line: Line) -> tuple[str, ...]:
    dice, figures = line["dice"][METHOD], line["figures"][METHOD]
    overlaps = [_average(dice.get(source, {}).values(), 4) for source in ("segmentation", "registration")]
    rest = [_average(figures["folding"].values(), 3), _average(figures["seconds"].values(), 2)]
    return (*_names(row, line, len(dice["registration"])), *overlaps, *rest, line["commit"])


def _arms(row: Study, line: Line) -> list[tuple[str, ...]]:
    """A line for each arm on the subjects that were refined; differences to the last, the optimisation alone."""
    few = list(line["dice"]["optimisation"]["registration"])
    measured = {arm: _of(line, arm, few) for arm in (METHOD, *REFINED) if arm in line["dice"]}
    rows = []
    for arm, own in measured.items():
        registration, final, seconds = own
        less = [_less(a, b, n) for a, b, n in zip(own, measured["optimisation"], (4, 4, 1), strict=True)]
        overlaps = [_average(scores.values(), 4) for scores in (registration, final)]
        folding = _average([line["figures"][arm]["folding"][name] for name in few], 3)
        words = [TITLES[arm], *overlaps, folding, _average(seconds.values(), 1)]
        rows.append((*_names(row, line, len(few)), *words, *(less if arm != "optimisation" else "---")))
    return rows


def _of(line: Line, arm: str, few: list[str]) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Dice of the carried labels and of the final ones, and seconds, by subject."""
    dice, seconds = line["dice"][arm], line["figures"][arm]["seconds"]
    final = dice.get("fused", dice["registration"])
    registration, last, needed = (
        {name: values[name] for name in few} for values in (dice["registration"], final, seconds)
    )
    return registration, last, needed


def _names(row: Study, line: Line, tested: int) -> list[str]:
    minutes = f"{line['budget']['train_minutes']:g}"
    return [row.method, row.label, str(row.labelled), minutes, str(line["steps"]), str(tested)]


def _less(own: dict[str, float], other: dict[str, float], digits: int) -> str:
    if len(own) < 2:
        return f"{mean(own.values()) - mean(other.values()):+.{digits}f}"
    value, half = difference(own, other)
    return f"{value:+.{digits}f} ± {half:.{digits}f}"


def _average(values: Iterable[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{mean(known):.{digits}f}" if known else "-"
