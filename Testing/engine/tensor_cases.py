"""Smooth images and fields in double precision, and grids that lie askew, for the tests of what computes on tensors."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from JointRegSegLib.fields import Shape, gaussian
from JointRegSegLib.volumes import Grid


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(shape: Shape, channels: int = 1, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """White noise of variance 1, (1, channels, D, H, W)."""
    return torch.randn(1, channels, *shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def texture(shape: Shape, sigma: float = 2.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Smooth noise between 0 and 1, (1, 1, D, H, W)."""
    image = gaussian(noise(shape, 1, seed), (sigma, sigma, sigma))
    return ((image - image.min()) / (image.max() - image.min())).to(dtype)


def smooth_field(
    shape: Shape, largest: float, sigma: float = 4.0, seed: int = 1, dtype: torch.dtype = torch.float64
) -> Tensor:
    """A smooth random displacement whose longest vector has `largest` voxels, zero at the border, (1, 3, D, H, W)."""
    field = gaussian(noise(shape, 3, seed), (sigma, sigma, sigma))
    for axis, n in enumerate(shape):
        place = torch.arange(n, dtype=torch.float64)
        window = torch.sin(torch.pi * place / (n - 1))
        field = field * window.view([n if a == axis else 1 for a in range(3)])
    return (field * (largest / field.square().sum(1).max().sqrt())).to(dtype)


def largest(field: Tensor) -> float:
    """Length of the longest vector of a field (1, 3, D, H, W)."""
    return float(field.square().sum(1).max().sqrt())


def inner(tensor: Tensor, margin: int) -> Tensor:
    """The tensor without `margin` voxels at each side."""
    part = slice(margin, -margin)
    return tensor[..., part, part, part]


def tilted(
    angles: tuple[float, float, float], columns: tuple[int, int, int], signs: tuple[int, int, int]
) -> np.ndarray:
    """A direction matrix: a rotation by degrees, its columns in another order and some of them turned round."""
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return turn[:, list(columns)] * np.asarray(signs, float)


def grid_of(size: tuple[int, int, int], spacing: tuple[float, float, float], centre: object, axes: np.ndarray) -> Grid:
    """A grid with the given direction matrix and its middle at a point (LPS mm)."""
    origin = np.asarray(centre, float) - axes @ (np.asarray(spacing) * (np.asarray(size) - 1) / 2)
    return Grid(size, spacing, tuple(float(x) for x in origin), tuple(float(x) for x in axes.ravel()))


GEOMETRIES = {
    "straight": grid_of((22, 25, 19), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), np.eye(3)),
    "flipped and anisotropic": grid_of((24, 20, 14), (1.0, 1.3, 2.1), (40.0, -7.0, 12.0), np.diag([-1.0, 1.0, -1.0])),
    "permuted": grid_of((14, 26, 22), (1.9, 0.8, 1.1), (-13.0, 21.0, 5.0), tilted((0, 0, 0), (2, 0, 1), (1, -1, 1))),
    "oblique, permuted and flipped": grid_of(
        (23, 15, 21), (1.2, 1.7, 0.9), (8.0, 30.0, -55.0), tilted((24, -17, 38), (1, 2, 0), (1, -1, -1))
    ),
}
