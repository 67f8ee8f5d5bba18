"""How smooth and how invertible a deformation is, from its Jacobian determinants (`fields.jacobian_determinant`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class JacobianStatistics:
    """Figures over the voxels that were asked for.

    Attributes:
        folding_percent: voxels with a determinant of 0 or less, in %.
        negative_percent: voxels with a determinant below 0, in %.
        minimum, maximum: of the determinant.
        std: standard deviation of the determinant.
        sd_log: standard deviation of the logarithm of the determinant (clipped below at 1e-3), SDlogJ.
    """

    folding_percent: float
    negative_percent: float
    minimum: float
    maximum: float
    std: float
    sd_log: float


def statistics(determinants: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> JacobianStatistics:
    """Figures of a determinant map (D, H, W), inside `mask` where one is given."""
    values = np.asarray(determinants if mask is None else determinants[mask], np.float64).ravel()
    return JacobianStatistics(
        folding_percent=100.0 * float(np.mean(values <= 0)),
        negative_percent=100.0 * float(np.mean(values < 0)),
        minimum=float(values.min()),
        maximum=float(values.max()),
        std=float(values.std()),
        sd_log=float(np.log(np.maximum(values, 1e-3)).std()),
    )
