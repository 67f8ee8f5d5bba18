"""Images and fields on finer or coarser grids whose corner voxels coincide (align_corners=True)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .axes import along_axes
from .sampling import Shape, shape_of
from .smoothing import BLUR_PER_FACTOR, gaussian


def resize_image(image: Tensor, shape: Shape) -> Tensor:
    """Trilinear interpolation of (B, C, D, H, W) onto `shape`; smooth first when shrinking."""
    if shape_of(image) == shape:
        return image
    return F.interpolate(image, size=shape, mode="trilinear", align_corners=True)


def shrink_image(image: Tensor, shape: Shape) -> Tensor:
    """An image (B, C, D, H, W) on fewer voxels, smoothed against aliasing."""
    if shape_of(image) == shape:
        return image
    return along_axes(image, shrinking(shape_of(image), shape, image))


def shrinking(old: Shape, new: Shape, like: Tensor) -> list[Tensor]:
    """`shrink_image` along D, H and W as matrices (D', D), (H', H), (W', W) for `along_axes`."""
    return [_shrinking(n, m, like) for n, m in zip(old, new, strict=True)]


def _shrinking(n: int, m: int, like: Tensor) -> Tensor:
    """What smoothing and interpolation along one axis make of each of its n voxels, (m, n)."""
    each = torch.eye(n, dtype=like.dtype, device=like.device).view(1, n, n, 1, 1)
    factor = (n - 1) / max(m - 1, 1)
    blurred = gaussian(each, (BLUR_PER_FACTOR * factor if factor > 1 else 0.0, 0.0, 0.0))
    return resize_image(blurred, (m, 1, 1)).view(n, m).T.contiguous()


def resize_field(field: Tensor, shape: Shape) -> Tensor:
    """A displacement field (B, 3, D, H, W) on a grid of `shape`, its values in voxels of that grid."""
    if shape_of(field) == shape:
        return field
    scale = [(new - 1) / max(old - 1, 1) for old, new in zip(shape_of(field), shape, strict=True)]
    return resize_image(field, shape) * torch.tensor(scale, dtype=field.dtype, device=field.device).view(1, 3, 1, 1, 1)
