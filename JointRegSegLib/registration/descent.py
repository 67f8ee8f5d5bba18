"""The iterations on one grid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from JointRegSegLib.fields import binomial, box_mean, even_volumes, identity, sample, shape_of

from .pair import Pair
from .presets import Preset
from .similarity import Pull

_FULL_STEP_SHARE = 0.01
"""Share of the voxels that take the full step of an iteration; the others move less, as their force is less."""

_COUNTED_EVERY = 7

_LEAST_FORCE = 1e-3
"""Weaker forces, for images scaled to [0, 1], are not blown up to full steps: there is nothing left to gain."""


def descend(field: Tensor, pull: Pull, pair: Pair, steps: int, preset: Preset, on_step: Callable[[], None]) -> Tensor:
    """The field (1, 3, D, H, W) after some iterations of force, smoothing and composition."""
    points = identity(shape_of(field), field)
    carried = torch.zeros_like(field)
    for _ in range(steps):
        on_step()
        positions = points + field
        update = pull.force(positions, combined_weight(pair, positions))
        for width in preset.smooth_update:
            update = box_mean(update, width)
        carried = capped(update).add_(carried, alpha=preset.momentum)
        update = _scaled(carried, preset.step)
        field = binomial(sample(field, points + update).add_(update))
        field = even_volumes(field, preset.even_volumes)
    return field


def combined_weight(pair: Pair, positions: Tensor) -> Tensor | None:
    """What of the fixed image may be compared when it is compared at `positions`, or None where everything may."""
    if pair.moving_weight is None:
        return pair.fixed_weight
    weight = sample(pair.moving_weight, positions, padding="zeros")
    return weight if pair.fixed_weight is None else weight.mul_(pair.fixed_weight)


def capped(update: Tensor) -> Tensor:
    """The update in units of its 99th percentile, longer vectors shortened to 1, so that no outlier slows the rest."""
    length = update.square().sum(1, keepdim=True).sqrt_()
    counted = length.flatten()[::_COUNTED_EVERY]
    rank = max(1, int((1 - _FULL_STEP_SHARE) * counted.numel()))
    cap = counted.kthvalue(rank).values.clamp_(min=_LEAST_FORCE)
    return update.div_(torch.maximum(length, cap))


def _scaled(update: Tensor, length: float) -> Tensor:
    """The update with vectors of at most `length` voxels; one that is short throughout stays short."""
    longest = float(update.square().sum(1).max().sqrt())
    return update * (length / max(longest, 1.0))
