"""Where the voters disagree so much that somebody should look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SURE = 0.5
"""A label with less than this share of the votes has more against it than for it."""


def for_review(confidence: NDArray[np.floating], sure: float = SURE) -> NDArray[np.bool_]:
    """The voxels whose label should be looked at, (D, H, W)."""
    found: NDArray[np.bool_] = confidence < sure
    return found


def confidence_of_labels(
    labels: NDArray[np.uint16], confidence: NDArray[np.floating], sure: float = SURE
) -> dict[int, tuple[float, float]]:
    """Of each label but the background the mean confidence and the share of its voxels that should be looked at."""
    top = int(labels.max(initial=0)) + 1
    flat = labels.ravel()
    voxels = np.bincount(flat, minlength=top)
    sums = np.bincount(flat, confidence.ravel(), top)
    unsure = np.bincount(flat, for_review(confidence, sure).ravel(), top)
    values = (int(value) for value in np.flatnonzero(voxels) if value)
    return {value: (float(sums[value] / voxels[value]), float(unsure[value] / voxels[value])) for value in values}
