"""Moving an image by a displacement field, and moving by two fields in turn."""

from __future__ import annotations

import torch
from torch import Tensor

from .sampling import identity, sample, shape_of


def warp(image: Tensor, field: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """`warp(x, u)(p) = x(p + u(p))`.

    Args:
        image: (B, C, D, H, W).
        field: (B, 3, D, H, W) in voxels, channel i along tensor axis i.
        mode: "bilinear" or "nearest".
        padding: "border" or "zeros" beyond the image.

    Returns: (B, C, D, H, W). A field of whole voxels moves values without touching them.
    """
    positions = identity(shape_of(field), field) + field
    out = sample(image, positions, mode, padding)
    if mode == "nearest" or shape_of(image) != shape_of(field) or not torch.equal(field, field.round()):
        return out
    # Normalised coordinates round off; whole steps need not. The detour keeps the gradient of the sampler.
    return out + (_pick(image, positions.detach().long(), padding) - out).detach()


def compose(first: Tensor, second: Tensor) -> Tensor:
    """The field that warps like `first`, then `second`: `compose(f, g)(p) = g(p) + f(p + g(p))`, (B, 3, D, H, W)."""
    return second + warp(first, second)


def _pick(image: Tensor, positions: Tensor, padding: str) -> Tensor:
    """Values of `image` (B, C, D, H, W) at whole positions (B, 3, D, H, W)."""
    shape = shape_of(image)
    z, y, x = (positions[:, i].clamp(0, n - 1) for i, n in enumerate(shape))
    index = ((z * shape[1] + y) * shape[2] + x).flatten(1)[:, None].expand(image.shape[0], image.shape[1], -1)
    picked = image.detach().flatten(2).gather(2, index).view_as(image)
    if padding == "zeros":
        limits = positions.new_tensor(shape).view(1, 3, 1, 1, 1)
        picked = picked * ((positions >= 0) & (positions < limits)).all(1, keepdim=True)
    return picked
