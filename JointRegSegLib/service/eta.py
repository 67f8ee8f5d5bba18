"""How long a run will still take, told from how far it has come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Eta:
    """The remaining seconds of a run: elapsed time over the fraction done, smoothed so that it does not jump.

    The nearer the end, the quicker it takes up what is new.

    Args:
        clock: seconds from any start, never going back.
    """

    MINIMUM_FRACTION = 0.02
    MINIMUM_SECONDS = 1.0
    SMOOTHING_SECONDS = 5.0
    SMOOTHING_SHARE = 0.25

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = self._last = clock()
        self._remaining: float | None = None

    def update(self, fraction: float) -> float | None:
        """The seconds still expected now that this fraction (0 to 1) is done; None while it is too early to tell."""
        now = self._clock()
        elapsed, step, self._last = now - self._start, now - self._last, now
        if fraction < self.MINIMUM_FRACTION or elapsed < self.MINIMUM_SECONDS:
            return None
        raw = max(0.0, elapsed * (1.0 - fraction) / fraction)
        if self._remaining is None or raw == 0.0:
            self._remaining = raw
        else:
            counted_down = max(0.0, self._remaining - step)
            trust = 1.0 - math.exp(-step / min(self.SMOOTHING_SECONDS, self.SMOOTHING_SHARE * raw))
            self._remaining = counted_down + trust * (raw - counted_down)
        return self._remaining
