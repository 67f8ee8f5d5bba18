"""The one place where voxels of tensors become LPS millimetres, and back.

Tensors count (d, h, w); grids count (i, j, k) = (w, h, d) and know where voxels lie.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.volumes.grid import Grid

from .sampling import identity, sample

Matrix = NDArray[np.float64]
"""4x4, on homogeneous points."""


def voxel_matrix(source: Grid, target: Grid, lps: Matrix) -> Matrix:
    """4x4 matrix from voxels (d, h, w, 1) of `source` to voxels of `target`, given the 4x4 LPS mm map between them."""
    flip = np.eye(4)[[2, 1, 0, 3]]
    return flip @ np.linalg.inv(target.matrix) @ lps @ source.matrix @ flip


def affine_positions(grid: Grid, other: Grid, lps: Matrix, like: Tensor) -> Tensor:
    """Where the voxels of `grid` land in `other` under an LPS mm matrix, (1, 3, D, H, W) in voxels of `other`."""
    return apply_matrix(voxel_matrix(grid, other, lps), identity(grid.shape, like))


def lattice_places(grid: Grid, other: Grid, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where the slices of `grid` along D, H and W lie in `other`, in its voxels, for `sample_lattice`.

    `ValueError` where the grids' axes differ.
    """
    matrix = voxel_matrix(grid, other, np.eye(4))
    steps = np.diag(matrix)[:3]
    if not np.allclose(matrix[:3, :3], np.diag(steps), atol=1e-6):
        raise ValueError(f"axes along {grid.direction} and {other.direction}")
    d, h, w = (
        torch.arange(n, dtype=like.dtype, device=like.device) * step + start
        for n, step, start in zip(grid.shape, steps, matrix[:3, 3], strict=True)
    )
    return d, h, w


def displaced_positions(vectors: NDArray[np.float32], grid: Grid, other: Grid) -> Tensor:
    """Where voxels of `grid`, moved by LPS mm vectors (k, j, i, 3), land in `other`, (1, 3, D, H, W) in its voxels."""
    into = torch.as_tensor(np.linalg.inv(other.matrix), dtype=torch.float64)
    index = into[:3, :3] @ torch.as_tensor(grid.matrix[:3, :3])
    start = into[:3, :3] @ torch.as_tensor(grid.matrix[:3, 3]) + into[:3, 3]
    positions = torch.einsum("cx,dhwx->cdhw", into[:3, :3].float(), torch.from_numpy(vectors))
    for axis, n in enumerate(grid.size):
        shape = [1, 1, 1, 1]
        shape[3 - axis] = n
        steps = index[:, axis][:, None] * torch.arange(n, dtype=torch.float64)
        if axis == 0:
            steps = steps + start[:, None]
        positions += steps.float().view(3, *shape[1:])
    return positions.flip(0)[None]


def apply_matrix(matrix: Matrix, positions: Tensor) -> Tensor:
    """A 4x4 voxel matrix applied to positions (1, 3, D, H, W)."""
    m = torch.as_tensor(matrix, dtype=positions.dtype, device=positions.device)
    flat = positions.reshape(3, -1)
    return torch.addmm(m[:3, 3:], m[:3, :3], flat).view_as(positions)


def to_lps(field: Tensor, grid: Grid) -> NDArray[np.float32]:
    """A displacement in voxels (1, 3, D, H, W) on `grid` as LPS mm vectors, (k, j, i, 3)."""
    linear = torch.as_tensor(grid.matrix[:3, :3], dtype=field.dtype)
    vectors = torch.einsum("xc,cdhw->dhwx", linear, field[0].flip(0).cpu())
    return np.ascontiguousarray(vectors.numpy(), np.float32)


def from_lps(vectors: NDArray[np.float32], grid: Grid) -> Tensor:
    """LPS mm vectors (k, j, i, 3) as a displacement in voxels of `grid`, (1, 3, D, H, W) float32."""
    inverse = torch.as_tensor(np.linalg.inv(grid.matrix[:3, :3]), dtype=torch.float32)
    return torch.einsum("cx,dhwx->cdhw", inverse, torch.as_tensor(vectors)).flip(0)[None].contiguous()


def displacement_lps(residual: Tensor, working: Grid, grid: Grid, before: Matrix, after: Matrix) -> NDArray[np.float32]:
    """The map `x -> after(G(before(x)))` as displacement on `grid`, where G moves by a residual field.

    Args:
        residual: (1, 3, D, H, W) in voxels of `working`; zero at its border, so that G is the identity beyond it.
        working: the grid of `residual`.
        grid: where the displacement is wanted.
        before, after: 4x4 matrices in LPS mm.

    Returns: LPS mm vectors (k, j, i, 3).
    """
    flip = np.eye(4)[[2, 1, 0, 3]]
    places = affine_positions(grid, working, before, residual)
    places = places + sample(residual, places)
    ends = apply_matrix(after @ working.matrix @ flip, places)
    ends -= apply_matrix(grid.matrix @ flip, identity(grid.shape, residual))
    return np.ascontiguousarray(ends[0].permute(1, 2, 3, 0).cpu().numpy(), np.float32)


def residual_of(vectors: NDArray[np.float32], own: Grid, grid: Grid, before: Matrix, after: Matrix) -> Tensor:
    """The map `x -> after(y + u(y))` with y = before(x) as a displacement of voxels: `displacement_lps`, undone.

    Args:
        vectors: u, LPS mm vectors (k, j, i, 3); beyond its grid it is its border's.
        own: the grid of `vectors`.
        grid: where the displacement is wanted.
        before, after: 4x4 matrices in LPS mm.

    Returns: (1, 3, D, H, W) in voxels of `grid`.
    """
    u = torch.from_numpy(vectors).permute(3, 0, 1, 2)[None]
    displaced = sample(u, affine_positions(grid, own, before, u))
    flip = np.eye(4)[[2, 1, 0, 3]]
    turn = torch.as_tensor((flip @ np.linalg.inv(grid.matrix) @ after)[:3, :3], dtype=u.dtype)
    ends = affine_positions(grid, grid, after @ before, u)
    ends += torch.einsum("cx,bxdhw->bcdhw", turn, displaced)
    return ends.sub_(identity(grid.shape, u))
