"""Whether structures keep their volumes: the topology change TC of MMLN (Zheng et al., Neurocomputing 2022)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def topology_change(
    warped: NDArray[np.integer], moving: NDArray[np.integer], values: Iterable[int] | None = None
) -> float:
    """Mean over structures of the volume of the warped label by that of the moving label.

    Args:
        warped, moving: label maps with voxels of one size, 0 is background.
        values: structures to count; all of `moving` where None.

    Returns: 1 where volumes stay on average, or NaN where `moving` has none of the structures.
    """
    top = int(max(warped.max(initial=0), moving.max(initial=0))) + 1
    after = np.bincount(warped.ravel(), minlength=top)
    before = np.bincount(moving.ravel(), minlength=top)
    wanted = range(1, top) if values is None else values
    ratios = [after[v] / before[v] for v in wanted if 0 <= v < top and before[v]]
    return float(np.mean(ratios)) if ratios else float("nan")
