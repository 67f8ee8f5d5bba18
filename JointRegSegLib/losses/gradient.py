"""The spatial gradient of an image."""

from __future__ import annotations

from torch import Tensor

from JointRegSegLib.fields import central_difference


def image_gradient(image: Tensor) -> Tensor:
    """Central differences of (1, 1, D, H, W) along D, H, W, one-sided at the edges: (1, 3, D, H, W) per voxel."""
    found = image.new_empty(1, 3, *image.shape[2:])
    for axis in range(3):
        central_difference(image[0, 0], axis, out=found[0, axis])
    return found
