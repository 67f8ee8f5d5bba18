"""The deformable stage: a diffeomorphism built from many small smooth steps, coarse to fine.

Each iteration takes the smoothed force of the similarity as a step of bounded length and composes it with the field
so far (greedy composition, as in Christensen et al., IEEE TIP 1996, and Joshi et al., NeuroImage 2004). Every step is
a small diffeomorphism, so that their composition folds nowhere as long as steps stay short and smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from JointRegSegLib.fields import Shape, binomial, box_mean, identity, resize_field, sample, shape_of
from JointRegSegLib.job import Similarity
from JointRegSegLib.volumes.grid import Grid

from .presets import Level, Preset
from .scan import coarser_shape, shrink
from .similarity import Pull, pull_of

LEAST_SIDE = 8


@dataclass(frozen=True)
class Pair:
    """Two images on one working grid, the moving one already aligned by the affine.

    Attributes:
        fixed, moving: (1, 1, D, H, W), intensities about 0 to 1.
        fixed_weight, moving_weight: 0 where a voxel must not count, or None where all do; same shape.
        grid: the working grid.
        margin: voxels around the region of interest over which the field falls to zero.
    """

    fixed: Tensor
    moving: Tensor
    fixed_weight: Tensor | None
    moving_weight: Tensor | None
    grid: Grid
    margin: int = 8

    def to(self, device: torch.device) -> Pair:
        """The pair in the memory of a device."""
        weights = [None if w is None else w.to(device) for w in (self.fixed_weight, self.moving_weight)]
        return Pair(self.fixed.to(device), self.moving.to(device), weights[0], weights[1], self.grid, self.margin)

    def at(self, shape: Shape) -> Pair:
        """The pair on fewer voxels."""
        weights = [None if w is None else shrink(w, shape) for w in (self.fixed_weight, self.moving_weight)]
        grid = self.grid.resized((shape[2], shape[1], shape[0]))
        margin = round(self.margin * min(grid.size) / min(self.grid.size))
        return Pair(shrink(self.fixed, shape), shrink(self.moving, shape), weights[0], weights[1], grid, margin)


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
        on_step: told the share of the work done, 0 to 1, before each iteration; may raise to stop.
        start: displacement to begin with, on any grid that spans the same box; zero where None.

    Returns: u (1, 3, D, H, W) in voxels of the working grid, `warped(p) = moving(p + u(p))`, zero at the border.
    """
    levels = usable_levels(pair.grid, preset)
    costs = [level.steps * _voxels(pair.grid, level) for level in levels]
    field = start
    for index, level in enumerate(levels):
        shape = level_shape(pair.grid, level)
        here = pair if shape == shape_of(pair.fixed) else pair.at(shape)
        field = here.fixed.new_zeros(1, 3, *shape) if field is None else resize_field(field, shape)
        pull = pull_of(similarity, here.fixed, here.moving, preset.window)
        for step, current in enumerate(_steps(field, pull, here, level, preset)):
            on_step((sum(costs[:index]) + costs[index] * step / level.steps) / sum(costs))
            field = current
    assert field is not None, "a preset has at least one level"
    return resize_field(field, shape_of(pair.fixed))


def usable_levels(grid: Grid, preset: Preset) -> list[Level]:
    """The preset's levels that leave the shortest side at least 8 voxels, always with the finest."""
    kept = [level for level in preset.levels if min(level_shape(grid, level)) >= LEAST_SIDE]
    return kept or [preset.levels[-1]]


def level_shape(grid: Grid, level: Level) -> Shape:
    """Shape (D, H, W) of a level: isotropic where the grid is finer than the level, never finer than the grid."""
    return grid.shape if level.shrink <= 1 else coarser_shape(grid, level.shrink * min(grid.spacing))


def _voxels(grid: Grid, level: Level) -> float:
    d, h, w = level_shape(grid, level)
    return float(d * h * w)


def _steps(field: Tensor, pull: Pull, pair: Pair, level: Level, preset: Preset) -> Iterator[Tensor]:
    """The field after each iteration of one level."""
    points = identity(shape_of(field), field)
    border = _border(shape_of(field), max(pair.margin, 1), field)
    edge = _border(shape_of(field), 1, field)
    carried: Tensor | None = None
    for _ in range(level.steps):
        positions = points + field
        update = pull.force(positions, _weight(pair, positions))
        for width in preset.smooth_update:
            update = box_mean(update, width)
        update = _scaled(update.mul_(border), 1.0)
        carried = update if carried is None else update.add_(carried, alpha=preset.momentum)
        update = _scaled(carried, preset.step)
        field = binomial(sample(field, points + update).add_(update)).mul_(edge)
        yield field


def _weight(pair: Pair, positions: Tensor) -> Tensor | None:
    if pair.moving_weight is None:
        return pair.fixed_weight
    weight = sample(pair.moving_weight, positions, padding="zeros")
    return weight if pair.fixed_weight is None else weight.mul_(pair.fixed_weight)


def _scaled(update: Tensor, length: float) -> Tensor:
    """The update with its longest vector `length` voxels long."""
    longest = float(update.square().sum(1).max().sqrt())
    return update * (length / max(longest, 1e-12))


def _border(shape: Shape, width: int, like: Tensor) -> Tensor:
    """0 on the outermost voxels, rising to 1 over `width` voxels, so that fields end where the grid does."""
    ramps = []
    for n in shape:
        place = torch.arange(n, dtype=like.dtype, device=like.device)
        ramps.append((torch.minimum(place, n - 1 - place) / width).clamp(0, 1))
    return (ramps[0][:, None, None] * ramps[1][:, None] * ramps[2])[None, None]
