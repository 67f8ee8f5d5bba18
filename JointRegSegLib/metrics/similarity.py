"""How well one image's intensities follow the other's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ncc(a: NDArray[np.floating], b: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> float:
    """Correlation coefficient of two images (D, H, W), inside `mask` where one is given.

    Returns: -1 to 1, or NaN where an image is flat.
    """
    x, y = (np.asarray(image if mask is None else image[mask], np.float64).ravel() for image in (a, b))
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else float("nan")
