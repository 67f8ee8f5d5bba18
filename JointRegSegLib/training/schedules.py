"""Numbers that change as training goes on: learning rates and weights of losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate

Schedule = float | Callable[[int], float]
"""A number, or what it is after so many steps."""


def at(schedule: Schedule, step: int) -> float:
    """The value of a schedule after `step` steps."""
    return schedule(step) if callable(schedule) else schedule


def decayed(first: float, factor: float, every: int) -> Callable[[int], float]:
    """`first`, times `factor` after each `every` steps."""
    return lambda step: first * factor ** (step // every)


def ramp(first: float, last: float, steps: int) -> Callable[[int], float]:
    """From `first` to `last` in a straight line over `steps` steps, then `last`."""
    return lambda step: first + (last - first) * min(step / steps, 1.0)


def ends(shares: Iterable[float]) -> list[float]:
    """Where stages with these shares of a budget end, one after another: the last at 1."""
    sums = list(accumulate(shares))
    return [end / sums[-1] for end in sums]
