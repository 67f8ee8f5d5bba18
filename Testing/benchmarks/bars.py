"""What the qualities are held to, beside the peers of the same part: stretch goals, and the gap where one is missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from statistics import mean
from typing import Any

from .parts import Part
from .rows import Line


@dataclass(frozen=True)
class Bar:
    """One goal for the mean over rows.

    Attributes:
        rows: pattern of the names of the rows that are judged.
        key: the figure.
        limit: the goal; added to, or where `scaled` multiplied with, the mean over the rows of `beside`.
        beside: pattern of the names of the rows to compare with, or empty.
        scaled: whether `limit` is a factor.
        at_least: whether the figure has to be at least (else at most) the goal.
        worst: judge the value that is furthest on the wrong side instead of the mean.
    """

    rows: str
    key: str
    limit: float
    beside: str = ""
    scaled: bool = False
    at_least: bool = False
    worst: bool = False


_WORST = {True: " (smallest)", False: " (largest)"}
_GREEDY = "brain/*/greedy-[12]"
BARS = (
    Bar("brain/*/normal", "dice", 0.02, _GREEDY, at_least=True),
    Bar("brain/*/normal", "sdlogj", 0.42),
    Bar("brain/*/normal", "folding_percent", 0.0, worst=True),
    Bar("brain/*/normal", "cpu_seconds", 0.45, _GREEDY, scaled=True),
    Bar("brain/*/normal", "command_peak_mb", 2000.0, worst=True),
    Bar("brain/*/fast", "cpu_seconds", 0.2, _GREEDY, scaled=True),
    Bar("brain/*/fast", "dice", 0.03, "brain/*/syn", at_least=True),
    Bar("brain/*/accurate", "dice", 0.03, _GREEDY, at_least=True),
    Bar("brain/*/accurate", "sdlogj", 0.48),
    Bar("brain/*/accurate", "folding_percent", 0.001),
    Bar("brain/*/accurate", "cpu_seconds", 1.2, _GREEDY, scaled=True),
    Bar("abdomen/*/02-03/normal", "dice", 0.40, at_least=True),
    Bar("abdomen/*/04-05/normal", "dice", 0.40, at_least=True),
    Bar("contrast/oasis/*/other-contrast/normal", "dice", -0.03, "contrast/oasis/1000-1010/normal", at_least=True),
    Bar("contrast/abdomen_ct/*/other-contrast/normal", "dice", -0.03, "contrast/*/00-01/normal", at_least=True),
    Bar("robust/*/40-mm-offset/normal", "dice", -0.02, "robust/oasis/1000-1010/normal", at_least=True),
    Bar("robust/*/60-degree-rotation/normal", "dice", -0.02, "robust/oasis/1000-1010/normal", at_least=True),
    Bar("gpu/*", "command_seconds", 5.0),
    Bar("guided/*/refine", "cpu_share", 1 / 3, worst=True),
    Bar("guided/*/refine", "edits_lost", 0.0, worst=True),
    Bar("guided/*/refine", "neighbours_gain", 0.0, at_least=True, worst=True),
    Bar("guided/*", "folding_percent", 0.0, worst=True),
    Bar("guided/*/landmarks", "held_out_mm", 2.0, worst=True),
)


def bar_rows(part: Part, shown: Mapping[Any, Line]) -> list[tuple[str, str, str, str]]:
    """(bar, wanted, found, verdict) of every bar of this part for which all rows are there."""
    rows = []
    for bar in (bar for bar in BARS if bar.rows.startswith(f"{part.name}/")):
        own, beside = _values(part, shown, bar.rows, bar.key), _values(part, shown, bar.beside, bar.key)
        if own is None or beside is None:
            continue
        worst = min if bar.at_least else max
        found = worst(own) if bar.worst else mean(own)
        goal, origin = bar.limit, ""
        if bar.beside:
            goal = mean(beside) * bar.limit if bar.scaled else mean(beside) + bar.limit
            origin = f" ({bar.limit:g} x" if bar.scaled else f" ({bar.limit:+g} to"
            origin += f" {mean(beside):.4g} of `{bar.beside}`)"
        gap = goal - found if bar.at_least else found - goal
        verdict = "met" if gap <= 0 else f"missed by {gap:.4g}"
        name = f"`{bar.rows}`: {bar.key.replace('_', ' ')}" + (_WORST[bar.at_least] if bar.worst else "")
        rows.append((name, f"{'at least' if bar.at_least else 'at most'} {goal:.4g}{origin}", f"{found:.4g}", verdict))
    return rows


def _values(part: Part, shown: Mapping[Any, Line], pattern: str, key: str) -> list[float] | None:
    """The figure of all rows that match, or None where one is missing."""
    rows = [row for row in part.rows if fnmatch(row.name, pattern)]
    return [shown[row][key] for row in rows] if all(row in shown for row in rows) else None
