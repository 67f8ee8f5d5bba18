"""The spatial gradient of an image."""

from __future__ import annotations

import torch
from torch import Tensor


def image_gradient(image: Tensor) -> Tensor:
    """Central differences of (1, 1, D, H, W) along D, H, W, one-sided at the edges: (1, 3, D, H, W) per voxel."""
    return torch.stack(torch.gradient(image[0, 0]))[None]
