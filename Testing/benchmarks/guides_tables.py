"""The page's section about a user's help."""

from __future__ import annotations

from .bars import bar_rows
from .guides import GUIDES, REFINE, Guided
from .markdown import table
from .rows import Line, Store, newest

_PART = GUIDES["guided"]
_TEXT = """\
Refine: three structures of a Normal run, chosen by their rank of Dice (`Testing/benchmarks/guides.py`), are replaced by
the manual ones, and a run goes on from there. **CPU s** are of all steps of a run, writing among them; **share** is of
the Normal run's. **Neighbors** are the other scored structures that come within 3 mm of a corrected one; their mean
Dice is that of the Normal run, of the labels as the user left them, and after. The gain is over the larger of the
first two. **Edits lost** are voxels of corrected structures that are not as the user left them.

Landmarks: ten, at random where the images are masked and the truth is off by a smooth 10 mm. **Before** is the error at
40 held-out points of the run without landmarks. What the 10 mm are added to is that run's field, or, as `unseen`, that
of a run that sees the images there: ten points cannot tell that detail.
"""
_REFINED = ("pair", "CPU s", "share", "neighbors", "Normal", "as edited", "after", "edits lost", "folding %")
_PINNED = ("pair", "before mm", "held out mm", "largest mm", "landmarks mm", "CPU s", "folding %")


def section(store: Store) -> str:
    """The section as text; rows that were not run, or with another engine than the newest, are named."""
    lines = store.lines(_PART.name)
    latest = {row: line for row in _PART.rows if (line := newest(lines, row))}
    code = max((line for line in latest.values()), key=lambda line: str(line["date"]))["code"] if latest else ""
    shown = {row: line for row, line in latest.items() if line["code"] == code}
    text = [f"## {_PART.name}\n", f"{_PART.about}.\n", _TEXT]
    if shown:
        machines = sorted(
            {f"{line['machine']['processor']}, {line['machine']['cores']} cores" for line in shown.values()}
        )
        commits = sorted({line["commit"] for line in shown.values()})
        threads = sorted({line["budget"]["threads"] for line in shown.values()})
        text.append(f"commit {', '.join(commits)} ({code}); {'; '.join(machines)}; {threads[0]} threads.\n")
        if bars := bar_rows(_PART, shown):
            text.append(table(("bar", "wanted", "found", ""), bars))
        for head, some in ((_REFINED, True), (_PINNED, False)):
            rows = {row: line for row, line in shown.items() if (row.help == REFINE) is some}
            if rows:
                cells = _refined if some else _pinned
                text.append(table(head, [cells(row, line) for row, line in rows.items()]))
    old = [f"`{row.name}`" for row in latest if row not in shown]
    if old:
        text.append(f"Rows run with an older engine only, left out: {', '.join(old)}.\n")
    absent = [f"`{row.name}`" for row in _PART.rows if row not in latest]
    return "\n".join([*text, f"Rows not run: {', '.join(absent) or 'none'}.\n"])


def _refined(row: Guided, line: Line) -> tuple[str, ...]:
    used = f"{line['cpu_seconds']:.1f}", f"{line['cpu_share']:.3f}", str(line["neighbours"])
    dice = (f"{line[f'neighbours_{name}']:.4f}" for name in ("before", "edited", "after"))
    return _pair(row), *used, *dice, str(line["edits_lost"]), f"{line['folding_percent']:.4f}"


def _pinned(row: Guided, line: Line) -> tuple[str, ...]:
    errors = (f"{line[key]:.2f}" for key in ("before_mm", "held_out_mm", "held_out_largest_mm", "marks_mm"))
    unseen = row.help.removeprefix("landmarks").removeprefix("-")
    words = _pair(row) + (f", {unseen}" if unseen else "")
    return words, *errors, f"{line['cpu_seconds']:.1f}", f"{line['folding_percent']:.4f}"


def _pair(row: Guided) -> str:
    return f"{row.dataset} {row.atlas} to {row.target}"
