"""Images and fields on finer or coarser grids whose corner voxels coincide (align_corners=True)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .sampling import Shape, shape_of


def resize_image(image: Tensor, shape: Shape) -> Tensor:
    """Trilinear interpolation of (B, C, D, H, W) onto `shape`; smooth first when shrinking."""
    if shape_of(image) == shape:
        return image
    return F.interpolate(image, size=shape, mode="trilinear", align_corners=True)


def resize_field(field: Tensor, shape: Shape) -> Tensor:
    """A displacement field (B, 3, D, H, W) on a grid of `shape`, its values in voxels of that grid."""
    if shape_of(field) == shape:
        return field
    scale = [(new - 1) / max(old - 1, 1) for old, new in zip(shape_of(field), shape, strict=True)]
    return resize_image(field, shape) * torch.tensor(scale, dtype=field.dtype, device=field.device).view(1, 3, 1, 1, 1)
