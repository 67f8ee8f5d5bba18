"""Which numbers a setting may be: kinds for the fields of a configuration, which `config` holds it to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from ..job.request import LARGEST_SEED


@dataclass(frozen=True)
class Range:
    """Finite numbers from `low` to `high`, without `low` itself where `above`.

    Attributes:
        words: what such a number is, for people.
    """

    words: str
    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number is one of them."""
        return math.isfinite(value) and self.low <= value <= self.high and not (self.above and value == self.low)


Whole = Annotated[int, Range("a number of 0 or more", low=0)]
Count = Annotated[int, Range("a number of 1 or more", low=1)]
Axis = Annotated[int, Range("0, 1 or 2", low=0, high=2)]
Seed = Annotated[int, Range("a number from 0 to 2**63 - 1", low=0, high=LARGEST_SEED)]
Weight = Annotated[float, Range("a number of 0 or more", low=0)]
Positive = Annotated[float, Range("a number above 0", low=0, above=True)]
Share = Annotated[float, Range("a number from 0 to 1", low=0, high=1)]
SomeShare = Annotated[float, Range("a number above 0 and at most 1", low=0, high=1, above=True)]
