"""Labels as networks learn them."""

from __future__ import annotations

import torch
from torch import Tensor

IGNORED = -1
"""The label of a voxel that teaches nothing."""


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Labels 0..K-1 (B, 1, D, H, W) as (B, K, D, H, W) float32; a voxel of another label belongs to no class."""
    return torch.cat([(labels == value) for value in range(classes)], 1).float()


def known(labels: Tensor) -> Tensor:
    """1 where a voxel has a label, 0 where it is ignored, (B, 1, D, H, W) float32."""
    return (labels != IGNORED).float()
