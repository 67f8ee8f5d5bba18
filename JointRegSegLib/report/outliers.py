"""Which cases of a cohort differ from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..job import QualityTable, Status

THRESHOLD = 3.5
FEWEST = 5
"""Among fewer cases nobody can say what is usual."""

_NORMAL_MAD, _NORMAL_MEAN = 1.4826, 1.2533


@dataclass(frozen=True)
class Reason:
    """Why a case is an outlier: words, and its robust z, infinite where no comparison is needed."""

    words: str
    z: float


def robust_z(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances from the median in robust standard deviations, shape (n,); NaN stays NaN.

    (x - median) / (1.4826 MAD), and where more than half of the values are alike (x - median) / (1.2533 mean absolute
    deviation): the modified z-score of Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993), with 3.5 as its
    limit. All 0 where all values are alike.
    """
    known = values[np.isfinite(values)]
    if known.size == 0:
        return np.full(values.shape, np.nan)
    middle = np.median(known)
    away = np.abs(known - middle)
    scale = _NORMAL_MAD * float(np.median(away)) or _NORMAL_MEAN * float(np.mean(away))
    return np.where(np.isfinite(values), (values - middle) / (scale or 1.0), np.nan)


def outliers(tables: Mapping[str, QualityTable]) -> dict[str, list[Reason]]:
    """Reasons by case, the strongest first; cases without any are left out.

    A case is an outlier where a measure of its own is bad, and, among `FEWEST` cases or more, where it folds more, is
    less similar, or has a structure larger or smaller than the others by more than `THRESHOLD`.
    """
    found: dict[str, list[Reason]] = {case: [] for case in tables}
    for case, table in tables.items():
        for measure in table.measures:
            if measure.status is Status.BAD:
                value = f"{measure.value:.3g} {measure.unit}".strip()
                found[case].append(Reason(f"{measure.name} is bad: {value}", float("inf")))
    if len(tables) >= FEWEST:
        for case, reason in _compared(tables):
            found[case].append(reason)
    return {case: sorted(reasons, key=lambda r: -abs(r.z)) for case, reasons in found.items() if reasons}


def _compared(tables: Mapping[str, QualityTable]) -> list[tuple[str, Reason]]:
    found = []
    cases = list(tables)
    for key, sign, word in (("folding_percent", 1, "folds"), ("similarity_after", -1, "similarity")):
        values = np.array([_measure(tables[case], key) for case in cases])
        for case, value, z in zip(cases, values, robust_z(values), strict=True):
            if sign * z > THRESHOLD:
                usual = float(np.nanmedian(values))
                found.append((case, Reason(f"{word}: {value:.3g}, usual {usual:.3g} (z\u00a0{z:+.1f})", float(z))))
    structures = {volume.value: volume.name for table in tables.values() for volume in table.labels}
    volumes = {case: {v.value: v.volume_ml for v in table.labels} for case, table in tables.items()}
    for label, name in structures.items():
        values = np.array([volumes[case].get(label, np.nan) for case in cases])
        for case, value, z in zip(cases, values, robust_z(values), strict=True):
            if abs(z) > THRESHOLD:
                usual = float(np.nanmedian(values))
                words = f"{name}: {value:.3g} ml, usual {usual:.3g} ml (z\u00a0{z:+.1f})"
                found.append((case, Reason(words, float(z))))
    return found


def _measure(table: QualityTable, key: str) -> float:
    try:
        return table.measure(key)
    except KeyError:
        return float("nan")
