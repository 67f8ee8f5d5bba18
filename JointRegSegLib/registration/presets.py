"""What Fast, Normal and Accurate mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

from JointRegSegLib.job import Quality


@dataclass(frozen=True)
class Level:
    """One resolution of the deformable stage.

    Attributes:
        shrink: voxel size in units of the finest spacing.
        steps: number of iterations.
        both_ways: whether target and atlas are registered to each other and the two fields averaged.
    """

    shrink: float
    steps: int
    both_ways: bool = True


_SEARCHED, _FINER = (0.75, 0.45), 0.33


@dataclass(frozen=True)
class Preset:
    """Settings of the deformable stage.

    Attributes:
        levels: coarse to fine.
        windows: widths of the local correlation's windows, voxels; their forces are added.
        step: longest step of an iteration, voxels.
        momentum: share of the previous step that is carried over.
        even_volumes: strength of the step that evens out volume changes after each iteration.
        smooth_update: widths of the boxes that smooth each step, voxels.
        most_voxels: larger working grids are coarsened to this.
    """

    levels: tuple[Level, ...]
    windows: tuple[int, ...] = (5, 9)
    step: float = 1.0
    momentum: float = 0.6
    even_volumes: float = 0.5
    smooth_update: tuple[int, ...] = (5, 3)
    most_voxels: float = 16e6

    def after_search(self, shrink: float) -> Preset:
        """The preset for a field that is known at `shrink`: its two coarsest levels move to what is finer than that."""
        first, second = (replace(level, shrink=s * shrink) for level, s in zip(self.levels, _SEARCHED, strict=False))
        finer = tuple(level for level in self.levels[2:] if level.shrink < _FINER * shrink)
        return replace(self, levels=(first, second, *(finer or self.levels[-1:])))


def _levels(coarse: int, half: int, full: int) -> tuple[Level, ...]:
    return Level(8, coarse), Level(4, coarse), Level(2, half), Level(1, full, both_ways=False)


_DENSE = (Level(8, 20), Level(5.6, 20), Level(4, 20), Level(2.8, 20), Level(2, 20), Level(1.4, 12))

PRESETS = {
    Quality.FAST: Preset(_levels(20, 12, 2), most_voxels=8e6),
    Quality.NORMAL: Preset(_levels(30, 20, 10)),
    Quality.ACCURATE: Preset(
        (*_DENSE, Level(1, 6), Level(1, 8, both_ways=False)),
        windows=(3, 5, 9),
        even_volumes=0.4,
        most_voxels=32e6,
    ),
}

CONTINUED = Preset((Level(4, 20, both_ways=False), Level(2, 15, both_ways=False), Level(1, 4, both_ways=False)))
"""For a field that is nearly right."""
