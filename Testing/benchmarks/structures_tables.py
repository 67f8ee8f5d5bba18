"""Each structure's Dice of what was measured side by side: the lowest in a table, and a link to the picture of all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import mean

from .markdown import table
from .rows import Line
from .structures import named

Scores = dict[str, dict[str, list[float]]]
"""Method -> structure -> Dice of each target that has it."""
LOWEST = 13
LOST = 0.1


def collected(lines: Iterable[tuple[str, str, Line]]) -> Scores:
    """The Dice of (method, data set, line) by method and structure, structures by value."""
    values: dict[str, dict[tuple[str, int], list[float]]] = {}
    for method, dataset, line in lines:
        for value, dice in line.get("dice_each", {}).items():
            values.setdefault(method, {}).setdefault((dataset, int(value)), []).append(dice)
    return {m: {named(*key): found[key] for key in sorted(found)} for m, found in values.items()}


def section(part: str, scores: Scores, kept: Path, link: str) -> list[str]:
    """The lines of a page: a table of the structures that the first method finds worst, and the picture.

    Args:
        kept: the folder that holds the picture, where one was drawn.
        link: that folder as the page names it.
    """
    if not scores:
        return []
    first = next(iter(scores.values()))
    lowest = sorted(first, key=lambda name: mean(first[name]))[:LOWEST]
    rows = [(name, *(_cell(each.get(name, [])) for each in scores.values())) for name in lowest]
    text = [
        f"Mean Dice of each structure, the lowest first, at most {LOWEST}; in brackets the targets below {LOST:g}.\n",
        table(("structure", *scores), rows),
    ]
    if (kept / picture(part)).is_file():
        text.append(f"![Dice of each structure]({link}/{picture(part)})\n")
    return text


def picture(part: str) -> str:
    """The file of a part's picture."""
    return f"{part}.png"


def _cell(values: list[float]) -> str:
    lost = sum(value < LOST for value in values)
    return (f"{mean(values):.3f}" + (f" ({lost})" if lost else "")) if values else "-"
