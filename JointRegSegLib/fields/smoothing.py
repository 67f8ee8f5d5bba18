"""Separable smoothing of (B, C, D, H, W) tensors by sums of shifted slices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

BLUR_PER_FACTOR = 0.35
"""Standard deviation of the blur before shrinking, in voxels per shrink factor."""

_AXES = (2, 3, 4)
_COARSER = 1.2


def box_mean(x: Tensor, width: int) -> Tensor:
    """Mean over a cube of odd `width`, zero beyond the edges; cost grows with the logarithm of `width`."""
    channels = []
    for channel in x.split(1, 1):  # one after the other needs a third of the memory
        for axis in _AXES:
            channel = _window_sum(channel, axis, width)
        channels.append(channel * (1.0 / width**3))
    return torch.cat(channels, 1) if len(channels) > 1 else channels[0]


def binomial(x: Tensor) -> Tensor:
    """Weights 1/4, 1/2, 1/4 along each axis, edges repeated."""
    for axis in _AXES:
        n = x.shape[axis]
        y = x * 0.5
        y.narrow(axis, 1, n - 1).add_(x.narrow(axis, 0, n - 1), alpha=0.25)
        y.narrow(axis, 0, n - 1).add_(x.narrow(axis, 1, n - 1), alpha=0.25)
        y.narrow(axis, 0, 1).add_(x.narrow(axis, 0, 1), alpha=0.25)
        y.narrow(axis, n - 1, 1).add_(x.narrow(axis, n - 1, 1), alpha=0.25)
        x = y
    return x


def gaussian(x: Tensor, sigma: tuple[float, float, float]) -> Tensor:
    """Gaussian of standard deviation `sigma` voxels along D, H, W, cut at 3 sigma, edges repeated."""
    for axis, width in zip(_AXES, sigma, strict=True):
        radius = min(math.ceil(3 * width), x.shape[axis] - 1)
        if width <= 0 or radius < 1:
            continue
        raw = [math.exp(-0.5 * (place / width) ** 2) for place in range(-radius, radius + 1)]
        weights = [value / sum(raw) for value in raw]
        padded = _pad(x, axis, radius, "replicate")
        n = x.shape[axis]
        x = padded.narrow(axis, 0, n) * weights[0]
        for shift in range(1, 2 * radius + 1):
            x.add_(padded.narrow(axis, shift, n), alpha=weights[shift])
    return x


def coarsened(x: Tensor, spacing: Sequence[float], wanted: Sequence[float]) -> Tensor:
    """A tensor without what voxels of the wanted mm cannot hold, on its own grid; both spacings along (x, y, z)."""
    w, h, d = (new / old for new, old in zip(wanted, spacing, strict=True))
    return gaussian(x, (_blur(d), _blur(h), _blur(w)))


def _blur(factor: float) -> float:
    return BLUR_PER_FACTOR * factor if factor > _COARSER else 0.0


def _window_sum(x: Tensor, axis: int, width: int) -> Tensor:
    """Sums over an odd window from sums over 1, 2, 4, ... neighbours, so that a window of 7 costs four additions."""
    n = x.shape[axis]
    run, length = _pad(x, axis, width // 2, "constant"), 1
    total, start = run.narrow(axis, 0, n), 1
    while 2 * length <= width:
        rest = run.shape[axis] - length
        run = run.narrow(axis, 0, rest) + run.narrow(axis, length, rest)
        length *= 2
        if width & length:
            total = total + run.narrow(axis, start, n)
            start += length
    return total


def _pad(x: Tensor, axis: int, amount: int, mode: str) -> Tensor:
    pad = [0] * 6
    pad[2 * (4 - axis)] = pad[2 * (4 - axis) + 1] = amount
    return F.pad(x, pad, mode=mode)
