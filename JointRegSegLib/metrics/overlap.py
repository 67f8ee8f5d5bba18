"""Overlap of two label maps (Dice, Ecology 1945)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def dice(a: NDArray[np.integer], b: NDArray[np.integer], values: Iterable[int] | None = None) -> dict[int, float]:
    """2 |A and B| / (|A| + |B|) of each structure.

    Args:
        a, b: label maps of one shape, 0 is background.
        values: structures to score; all that occur in either where None.

    Returns: label value -> Dice, 0 to 1; a structure in neither map is left out.
    """
    top = int(max(a.max(initial=0), b.max(initial=0))) + 1
    size_a = np.bincount(a.ravel(), minlength=top)
    size_b = np.bincount(b.ravel(), minlength=top)
    both = np.bincount(a[a == b].ravel(), minlength=top)
    chosen = np.flatnonzero(size_a + size_b) if values is None else [v for v in values if 0 <= v < top]
    return {
        int(v): 2.0 * int(both[v]) / int(size_a[v] + size_b[v])
        for v in chosen
        if size_a[v] + size_b[v] > 0 and (values is not None or v != 0)
    }
