"""Where the search for an affine begins."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .scan import Scan

_ANGLES = (25.0, 50.0, 75.0)
_SLIDE_MM = 40.0


@dataclass(frozen=True)
class Start:
    """A first guess: target points to atlas points (4x4, LPS mm), and its name for the log."""

    name: str
    matrix: NDArray[np.float64]


def all_starts(target: Scan, atlas: Scan) -> tuple[list[Start], bool]:
    """Every start worth scoring, and whether the scans may show different parts of a long body."""
    slides = slid(target, atlas) if target.cut or atlas.cut else []
    starts = [as_placed(), centred(target, atlas), scaled(target, atlas), *slides]
    return (starts, True) if slides else (starts + turned(target, atlas), False)


def as_placed() -> Start:
    """The scans as their headers place them."""
    return Start("as placed", np.eye(4))


def centred(target: Scan, atlas: Scan) -> Start:
    """The centre of one body on the centre of the other."""
    return Start("centres of the bodies", _about(target, atlas))


def turned(target: Scan, atlas: Scan) -> list[Start]:
    """Centres matched, the atlas turned by 25, 50 and 75 degrees about the 13 axes of a cube, both ways."""
    axes = [np.array(a, float) for a in itertools.product((-1, 0, 1), repeat=3) if any(a)]
    return [
        Start(
            f"centres, turned by {angle:.0f} degrees",
            _about(target, atlas, Rotation.from_rotvec(np.deg2rad(angle) * axis / np.linalg.norm(axis)).as_matrix()),
        )
        for angle in _ANGLES
        for axis in axes
    ]


def scaled(target: Scan, atlas: Scan) -> Start:
    """Centres matched and the bodies' breadth and depth made equal; along the body's axis no scale is known."""
    return Start("centres and breadth of the bodies", _about(target, atlas, np.diag(_breadth(target, atlas))))


def slid(target: Scan, atlas: Scan) -> list[Start]:
    """Bodies of equal breadth, slid along z in steps of 40 mm where one scan shows more of the body than the other."""
    longest = max(_length(target), _length(atlas))
    if longest < 200.0:
        return []
    reach = int(longest / 2 // _SLIDE_MM)
    shape = np.diag(_breadth(target, atlas))
    return [
        Start(
            f"breadth of the bodies, slid by {step * _SLIDE_MM:.0f} mm", _about(target, atlas, shape, step * _SLIDE_MM)
        )
        for step in range(-reach, reach + 1)
        if step
    ]


def _breadth(target: Scan, atlas: Scan) -> NDArray[np.float64]:
    ratio = atlas.centre_and_spread()[1] / target.centre_and_spread()[1]
    ratio[2] = 1.0
    return np.clip(ratio, 0.5, 2.0)


def _length(scan: Scan) -> float:
    return float(abs(np.reshape(scan.grid.direction, (3, 3))[2]) @ np.asarray(scan.grid.extent))


def _about(
    target: Scan, atlas: Scan, shape: NDArray[np.float64] | None = None, slide: float = 0.0
) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3) if shape is None else shape
    centre = target.centre_and_spread()[0]
    matrix[:3, 3] = atlas.centre_and_spread()[0] + (0.0, 0.0, slide) - matrix[:3, :3] @ centre
    return matrix
