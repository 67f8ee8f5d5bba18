"""The deformable stage: a diffeomorphism built from many small smooth steps, coarse to fine.

Each iteration takes the smoothed force of the similarity as a step of bounded length and composes it with the field
so far (greedy composition, as in Christensen et al., IEEE TIP 1996, and Joshi et al., NeuroImage 2004). Every step is
a small diffeomorphism, so that their composition folds nowhere as long as steps stay short and smooth. On the coarse
levels target and atlas are registered to each other and the two maps averaged, which halves what each does by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor

from JointRegSegLib.fields import Shape, inverse, resize_field, shape_of
from JointRegSegLib.job import Similarity
from JointRegSegLib.volumes.grid import Grid

from .descent import descend
from .landmarks import pinned
from .overlap import pull_between
from .pair import Pair
from .presets import Level, Preset
from .scan import coarser_shape
from .unfold import unfold

LEAST_SIDE = 8


def register(
    pair: Pair,
    preset: Preset,
    similarity: Similarity,
    on_step: Callable[[float], None] = lambda done: None,
    start: Tensor | None = None,
) -> Tensor:
    """The displacement that makes the moving image look like the fixed one.

    Args:
        pair: the images.
        preset: levels and step settings.
        similarity: what counts as alike; not AUTO.
        on_step: told the share of the work done, 0 to 1, before each iteration and at the end; may raise to stop.
        start: displacement to begin with, on any grid that spans the same box; zero where None.

    Returns: u (1, 3, D, H, W) in voxels of the working grid, `warped(p) = moving(p + u(p))`.
    """
    levels = usable_levels(pair.grid, preset)
    tick = _work_clock(pair.grid, levels, on_step)
    field = start
    for number, level in enumerate(levels):
        shape = level_shape(pair.grid, level)
        here = pair if shape == shape_of(pair.fixed) else pair.at(shape)
        field = here.fixed.new_zeros(1, 3, *shape) if field is None else resize_field(field, shape)
        if here.landmarks is not None:
            field = pinned(field, here.landmarks, wide=number == 0)

        def improve(begin: Tensor, images: Pair, level: Level = level) -> Tensor:
            pull = pull_between(images, similarity, preset.windows)
            return descend(begin, pull, images, level.steps, preset, partial(tick, level))

        back = inverse(improve(inverse(field), here.swapped())) if level.both_ways else None
        field = improve(field, here)
        if back is not None:
            field = (field + back) / 2
    on_step(1.0)
    if field is None:
        return pair.fixed.new_zeros(1, 3, *pair.grid.shape)
    field = resize_field(field, pair.grid.shape)
    return unfold(field if pair.landmarks is None else pinned(field, pair.landmarks, wide=False))


def usable_levels(grid: Grid, preset: Preset) -> list[Level]:
    """The preset's levels that leave the shortest side at least 8 voxels, always with the finest.

    The coarsest of them takes as many steps as any that is left out: in a thin slab it has their way to go as well.
    """
    kept = [level for level in preset.levels if min(level_shape(grid, level)) >= LEAST_SIDE] or [preset.levels[-1]]
    steps = max(level.steps for level in preset.levels[: len(preset.levels) - len(kept) + 1])
    return [replace(kept[0], steps=steps), *kept[1:]]


def level_shape(grid: Grid, level: Level) -> Shape:
    """Shape (D, H, W) of a level: isotropic where the grid is finer than the level, never finer than the grid."""
    return grid.shape if level.shrink <= 1 else coarser_shape(grid, level.shrink * min(grid.spacing))


def _work_clock(grid: Grid, levels: list[Level], on_step: Callable[[float], None]) -> Callable[[Level], None]:
    """A function that is told of each iteration of a level and passes on the share of all work that is done."""

    def voxels(level: Level) -> float:
        d, h, w = level_shape(grid, level)
        return float(d * h * w)

    total = sum(level.steps * (1 + level.both_ways) * voxels(level) for level in levels)
    done = 0.0

    def tick(level: Level) -> None:
        nonlocal done
        on_step(min(done / total, 1.0))
        done += voxels(level)

    return tick
