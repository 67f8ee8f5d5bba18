"""Reading an image tensor between its voxels. Everything that warps goes through here."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .axes import along_axes

Shape = tuple[int, int, int]


def shape_of(tensor: Tensor) -> Shape:
    """The last three sizes of a tensor, (D, H, W)."""
    depth, height, width = tensor.shape[-3:]
    return depth, height, width


def identity(shape: Shape, like: Tensor) -> Tensor:
    """Every voxel's own position, (1, 3, D, H, W), channel i along tensor axis i; type and device of `like`."""
    axes = [torch.arange(n, device=like.device, dtype=like.dtype) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


def sample(image: Tensor, positions: Tensor, mode: str = "bilinear", padding: str = "border") -> Tensor:
    """Values of `image` at fractional voxel positions; differentiable in both.

    Args:
        image: (B, C, D, H, W).
        positions: (B, 3, D', H', W'), channel i along tensor axis i, in voxels of `image`.
        mode: "bilinear" (trilinear in 3-D) or "nearest".
        padding: "border" repeats the edge, "zeros" continues with zero.

    Returns: (B, C, D', H', W').
    """
    grid = positions.new_empty(positions.shape[0], *positions.shape[2:], 3)
    for i, n in enumerate(shape_of(image)):
        grid[..., 2 - i] = positions[:, i] * (2.0 / max(n - 1, 1)) - 1.0
    return _grid_sample(image, grid, mode, padding)


def sample_lattice(image: Tensor, places: Sequence[Tensor]) -> Tensor:
    """`sample` at the nodes of a lattice along the image's own axes; beyond the image its edge's values.

    Args:
        image: (B, C, D, H, W).
        places: along D, H and W, (D',), (H',), (W',), in voxels of `image`.

    Returns: (B, C, D', H', W').
    """
    return along_axes(image, [_hats(place, n) for place, n in zip(places, shape_of(image), strict=True)])


def _hats(places: Tensor, n: int) -> Tensor:
    """What each of n voxels gives to each of the places, (places, n)."""
    distances = torch.arange(n, dtype=places.dtype, device=places.device) - places.clamp(0, n - 1)[:, None]
    return (1 - distances.abs()).clamp_(min=0)


def _grid_sample(image: Tensor, grid: Tensor, mode: str, padding: str) -> Tensor:
    """PyTorch's sampler, a single volume on the CPU in slabs: its kernel gives one thread to each batch item."""
    slabs = _slabs(grid.shape[1]) if image.device.type == "cpu" and image.shape[0] == 1 else 1
    if slabs > 1:
        grid = grid.reshape(slabs, grid.shape[1] // slabs, *grid.shape[2:])
        image = image.expand(slabs, -1, -1, -1, -1)
    out = F.grid_sample(image, grid, mode=mode, padding_mode=padding, align_corners=True)
    return out if slabs == 1 else out.transpose(0, 1).reshape(1, out.shape[1], -1, *out.shape[3:])


def _slabs(depth: int) -> int:
    """The largest number of equal slabs of `depth` slices that the threads can share."""
    return next(n for n in range(min(torch.get_num_threads(), depth), 0, -1) if depth % n == 0)
