"""Large displacements: the best of many whole-voxel displacements, everywhere at once, made smooth and consistent.

Organs of two patients may lie further apart than the slopes of a similarity reach. Here every point of a coarse
lattice tries all displacements within reach on self-similarity descriptors, whatever the contrast; coupled convex
optimisation (Steinbrücker et al., ICCV 2009; Heinrich et al., MICCAI 2014) turns the best of them into a smooth
field, and registering both ways and averaging makes the field invertible. Coarse to fine, as in Siebert et al. (MICCAI
2021 challenge, ConvexAdam).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from JointRegSegLib.fields import Shape, compose, identity, resize_field, sample, shape_of, warp
from JointRegSegLib.losses import mind_features

from .pair import Pair
from .scan import coarser_shape


@dataclass(frozen=True)
class Lattice:
    """One stage: the distance of the points in units of the coarse spacing, and how many points far to look."""

    spacing: float
    reach: int


_DESCRIBED = 0.375
"""Voxel size for the descriptors, in units of the coarse spacing."""

_STAGES = (Lattice(2.0, 5), Lattice(1.5, 4), Lattice(1.0, 4), Lattice(0.75, 3))
_COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Weight of the distance to the smooth field, per square of a lattice step, from loose to tight."""

_COST_SCALE = 30.0
_UNKNOWN = 0.05
"""Cost of a place that cannot be compared: that of a middling match, so that it neither attracts nor repels."""

_CONSISTENT = 15
_LEAST_KNOWN = 0.05


def search_displacements(pair: Pair, coarse_mm: float, on_step: Callable[[float], None] = lambda done: None) -> Tensor:
    """A smooth displacement from fixed to moving image that may be large.

    Args:
        pair: aligned images.
        coarse_mm: size of what must be told apart, in mm; 8 for a trunk.
        on_step: told the share of the work done, 0 to 1; may raise to stop.

    Returns: (1, 3, d, h, w) in voxels of the finest lattice, which spans the same box as the pair's grid.
    """
    pair = pair.at(coarser_shape(pair.grid, _DESCRIBED * coarse_mm))
    shape = shape_of(pair.fixed)
    field = pair.fixed.new_zeros(1, 3, *shape)
    points = identity(shape, field)
    fixed = mind_features(pair.fixed)
    for index, stage in enumerate(_STAGES):
        on_step(index / len(_STAGES))
        shape = coarser_shape(pair.grid, stage.spacing * coarse_mm)
        positions = points + field
        weight = None if pair.moving_weight is None else sample(pair.moving_weight, positions, padding="zeros")
        there = _at_points(mind_features(sample(pair.moving, positions)), weight, shape)
        update = _both_ways(_at_points(fixed, pair.fixed_weight, shape), there, stage.reach)
        field = compose(field, resize_field(update, shape_of(field)))
    return resize_field(field, shape)


@dataclass(frozen=True)
class _Described:
    """Descriptors (1, 12, d, h, w) around the points of a lattice, and 1 where most of them are known."""

    features: Tensor
    known: Tensor


def _at_points(features: Tensor, weight: Tensor | None, shape: Shape) -> _Described:
    """Descriptors of voxels averaged around the points of a lattice of `shape`."""
    if weight is None:
        return _Described(F.adaptive_avg_pool3d(features, shape), features.new_ones(1, 1, *shape))
    share = F.adaptive_avg_pool3d(weight, shape)
    mean = F.adaptive_avg_pool3d(features * weight, shape) / share.clamp(min=_LEAST_KNOWN)
    return _Described(mean, (share > 0.5).to(share))


def _both_ways(fixed: _Described, moving: _Described, reach: int) -> Tensor:
    """The consistent displacement on a lattice, in its voxels."""
    there, back = _coupled(_costs(fixed, moving, reach), reach), _coupled(_costs(moving, fixed, reach), reach)
    for _ in range(_CONSISTENT):
        there, back = (there - warp(back, there)) / 2, (back - warp(there, back)) / 2
    return there


def _costs(fixed: _Described, moving: _Described, reach: int) -> Tensor:
    """How badly each point fits at each displacement, (n**3, d, h, w) with n = 2 reach + 1."""
    d, h, w = shape_of(fixed.features)
    around = F.pad(moving.features, (reach,) * 6, mode="replicate")
    known = F.pad(moving.known, (reach,) * 6)
    costs = around.new_empty((2 * reach + 1) ** 3, d, h, w)
    for cost, (a, b, c) in zip(costs, itertools.product(range(2 * reach + 1), repeat=3), strict=True):
        window = (..., slice(a, a + d), slice(b, b + h), slice(c, c + w))
        difference = (fixed.features - around[window]).square_().mean(1)
        cost.copy_(torch.lerp(torch.full_like(difference, _UNKNOWN), difference, known[window][:, 0])[0])
    return costs.mul_(fixed.known[0] * _COST_SCALE)


def _coupled(costs: Tensor, reach: int) -> Tensor:
    """A smooth field (1, 3, d, h, w) of low cost: alternately the best displacement near the field, and its mean."""
    steps = torch.arange(-reach, reach + 1, dtype=costs.dtype, device=costs.device)
    offsets = torch.cartesian_prod(steps, steps, steps)
    field = _mean(_displacements(offsets, costs.argmin(0)))
    for weight in _COUPLING:
        best = [
            torch.argmin(cost + weight * _squared_distance(offsets, part), 0)
            for cost, part in zip(costs.unbind(1), field[0].unbind(1), strict=True)
        ]
        field = _mean(_displacements(offsets, torch.stack(best)))
    return field


def _squared_distance(offsets: Tensor, field: Tensor) -> Tensor:
    """Of each offset (K, 3) from each vector (3, h, w): (K, h, w)."""
    return (offsets[:, :, None, None] - field).square_().sum(1)


def _displacements(offsets: Tensor, chosen: Tensor) -> Tensor:
    return offsets[chosen].permute(3, 0, 1, 2)[None]


def _mean(field: Tensor) -> Tensor:
    return F.avg_pool3d(F.pad(field, (1,) * 6, mode="replicate"), 3, stride=1)
