"""What a library knows of an atlas beforehand, so that it can be compared with a target at a glance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

_LEAST_VOLUME = 1e-6
"""Of a cube of 1 mm after an affine, in cubic mm."""


@dataclass(frozen=True)
class Overview:
    """An atlas at a glance; `ValueError` where the affine is none that can be turned round.

    Attributes:
        image: the scan, its intensities scaled as a run scales them, on voxels of about `spacing`.
        affine: points of the library's first member to points of this atlas: 4x4 by rows, LPS mm.
        spacing: in mm, the same for all atlases of a library.
    """

    image: Path
    affine: tuple[float, ...]
    spacing: float

    def __post_init__(self) -> None:
        numbers = self.affine
        if len(numbers) != 16 or not all(math.isfinite(number) for number in numbers) or numbers[12:] != (0, 0, 0, 1):
            raise ValueError("an overview's affine is none")
        (a, b, c), (d, e, f), (g, h, i) = numbers[0:3], numbers[4:7], numbers[8:11]
        if abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) < _LEAST_VOLUME:
            raise ValueError("an overview's affine has no inverse")
        if not (math.isfinite(self.spacing) and self.spacing > 0):
            raise ValueError(f"an overview's spacing is {self.spacing}")
