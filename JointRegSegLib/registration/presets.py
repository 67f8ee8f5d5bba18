"""What Fast, Normal and Accurate mean."""

from __future__ import annotations

from dataclasses import dataclass

from JointRegSegLib.job import Quality


@dataclass(frozen=True)
class Level:
    """One resolution of the deformable stage: voxels of `shrink` times the finest spacing, and the most steps taken."""

    shrink: float
    steps: int


@dataclass(frozen=True)
class Preset:
    """Settings of the deformable stage.

    Attributes:
        levels: coarse to fine.
        window: width of the local correlation's window, voxels.
        step: longest step of an iteration, voxels.
        momentum: share of the previous step that is carried over.
        smooth_update: widths of the boxes that smooth each step, voxels.
        most_voxels: larger working grids are coarsened to this.
    """

    levels: tuple[Level, ...]
    window: int = 7
    step: float = 1.0
    momentum: float = 0.0
    smooth_update: tuple[int, ...] = (5, 3)
    most_voxels: float = 16e6


PRESETS = {
    Quality.FAST: Preset((Level(8, 40), Level(4, 40), Level(2, 30), Level(1, 2)), most_voxels=8e6),
    Quality.NORMAL: Preset((Level(8, 50), Level(4, 50), Level(2, 50), Level(1, 15))),
    Quality.ACCURATE: Preset((Level(8, 80), Level(4, 80), Level(2, 80), Level(1, 60)), most_voxels=32e6),
}
