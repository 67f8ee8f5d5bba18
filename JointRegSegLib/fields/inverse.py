"""The inverse of a displacement field by fixed-point iteration (Chen et al., Med Phys 2008)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .resize import resize_field
from .sampling import Shape, identity, sample, shape_of

_LEAST_PACE, _FULL_PACE = 0.25, 1.0
_LARGE_SIDE = 64
_AT_ONCE = 2_000_000
_SETTLED = 0.25
"""Share of the tolerance below which a voxel is left as it is."""
_FAR_SHARE = 0.001


def inverse(field: Tensor, iterations: int = 12, tolerance: float = 0.05, start: Tensor | None = None) -> Tensor:
    """The field w with `w(q) = -u(q + w(q))`, so that following one field and then the other leads back.

    Plain iteration diverges where u doubles a length or turns by more than 60 degrees. Here each voxel takes only as
    much of a step as its last two residuals advise (Barzilai and Borwein, IMA J Numer Anal 1988), which converges
    wherever the field does not fold, and sooner; voxels that are settled are left alone. Large fields start from the
    inverse at half their resolution.

    Args:
        field: u, (1, 3, D, H, W) in voxels.
        iterations: at most this many.
        tolerance: stop when the 99.9th percentile of the residual falls below this many voxels.
        start: first guess of w, same shape; found where None.

    Returns: w, same shape, in voxels.
    """
    shape = shape_of(field)
    if start is None and min(shape) > _LARGE_SIDE:
        half = (shape[0] + 1) // 2, (shape[1] + 1) // 2, (shape[2] + 1) // 2
        start = resize_field(inverse(resize_field(field, half), iterations, tolerance), shape)
    guess = (-field if start is None else start.clone()).view(3, -1)
    step, last = torch.zeros_like(guess), torch.zeros_like(guess)
    going: Tensor | None = None
    for iteration in range(iterations):
        far, rest = 0, []
        for some, places in _everywhere(shape, guess) if going is None else _at(going, shape, guess):
            w = guess[:, some]
            residual = sample(field, places.add_(w)[None, :, None, None])[0, :, 0, 0].add_(w)
            length = residual.square().sum(0).sqrt_()
            far += int((length > tolerance).sum())
            unsettled = (length > _SETTLED * tolerance).nonzero()[:, 0]
            some = some.start + unsettled if isinstance(some, slice) else some[unsettled]
            residual = residual[:, unsettled]
            pace = _pace(step[:, some], residual - last[:, some]) if iteration else _FULL_PACE
            change = residual * -pace
            step[:, some], last[:, some] = change, residual
            guess[:, some] += change
            rest.append(some)
        if far <= _FAR_SHARE * guess.shape[1]:
            break
        going = torch.cat(rest)
    return guess.view_as(field)


def _everywhere(shape: Shape, like: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """All voxels, numbered in the order of memory, in parts, with their positions (3, n)."""
    depth, plane = shape[0], shape[1] * shape[2]
    planes = max(_AT_ONCE // plane, 1)
    for start in range(0, depth, planes):
        stop = min(start + planes, depth)
        places = identity((stop - start, *shape[1:]), like)[0]
        places[0] += start
        yield slice(start * plane, stop * plane), places.view(3, -1)


def _at(voxels: Tensor, shape: Shape, like: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Voxels with these numbers, likewise."""
    _, h, w = shape
    for some in voxels.split(_AT_ONCE):
        row = some.div(w, rounding_mode="floor")
        yield some, torch.stack([row.div(h, rounding_mode="floor"), row % h, some % w]).to(like.dtype)


def _pace(step: Tensor, change: Tensor) -> Tensor:
    """The share of the residual to take, (n,), from the last step and the change that it made, both (3, n)."""
    along = (step * change).sum(0)
    return along.div_(change.square().sum(0).clamp_(min=1e-12)).clamp_(_LEAST_PACE, _FULL_PACE)
