"""Where voxels lie in space: the one place that turns voxel indices into LPS millimetres and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .boxes import Box

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A lattice of voxel centres in LPS millimetres, in SimpleITK's words.

    Attributes:
        size: number of voxels along the index axes i, j, k.
        spacing: mm between voxel centres along i, j, k.
        origin: LPS mm of the voxel (0, 0, 0).
        direction: 3x3 matrix, row by row; column c is the LPS direction of index axis c.

    The arrays that belong to a grid have `shape`, which is `size` reversed: (k, j, i), also called (D, H, W).
    """

    size: tuple[int, int, int]
    spacing: Triple = (1.0, 1.0, 1.0)
    origin: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @classmethod
    def of(cls, image: sitk.Image) -> Grid:
        """The grid of a 3-D SimpleITK image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the arrays on this grid, (k, j, i)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """4x4 matrix from homogeneous indices (i, j, k, 1) to LPS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * self.spacing
        matrix[:3, 3] = self.origin
        return matrix

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000.0

    @property
    def extent(self) -> Triple:
        """Size in mm along i, j, k, from voxel edge to voxel edge."""
        i, j, k = (n * s for n, s in zip(self.size, self.spacing, strict=True))
        return i, j, k

    @property
    def centre(self) -> NDArray[np.float64]:
        """LPS mm of the middle of the grid, shape (3,)."""
        return self.to_lps((np.asarray(self.size) - 1) / 2.0)

    def to_lps(self, indices: object) -> NDArray[np.float64]:
        """LPS mm of (possibly fractional) indices (i, j, k), shape (..., 3)."""
        return np.asarray(indices, float) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def to_index(self, points: object) -> NDArray[np.float64]:
        """Fractional indices (i, j, k) of points in LPS mm, shape (..., 3)."""
        return (np.asarray(points, float) - self.matrix[:3, 3]) @ np.linalg.inv(self.matrix[:3, :3]).T

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether both grids have the same size and all corners within `tolerance` voxels of each other."""
        if self.size != other.size:
            return False
        corners = np.array(
            [[c * (n - 1) for c, n in zip(bits, self.size, strict=True)] for bits in np.ndindex(2, 2, 2)]
        )
        return bool(np.abs(self.to_index(other.to_lps(corners)) - corners).max() <= tolerance)

    def box(self, start: tuple[int, int, int], size: tuple[int, int, int]) -> Grid:
        """The part of the lattice that begins at index `start` and has `size` voxels; may reach beyond this grid."""
        return Grid(size, self.spacing, _triple(self.to_lps(start)), self.direction)

    def part(self, box: Box) -> Grid:
        """The part of the lattice in a box of the arrays on it, (k, j, i)."""
        k, j, i = box
        return self.box((i.start, j.start, k.start), (i.stop - i.start, j.stop - j.start, k.stop - k.start))

    def resized(self, size: tuple[int, int, int]) -> Grid:
        """A grid of `size` voxels whose outer voxel centres lie on this grid's (align_corners=True)."""
        old, new = np.asarray(self.size) - 1.0, np.maximum(np.asarray(size) - 1.0, 1.0)
        spacing = np.where(old > 0, old / new, 1.0) * self.spacing
        return Grid(size, _triple(spacing), self.origin, self.direction)

    def empty_image(self) -> sitk.Image:
        """A small-typed SimpleITK image of zeros on this grid, to resample onto."""
        return self.place(sitk.Image(list(self.size), sitk.sitkUInt8))

    def place(self, image: sitk.Image) -> sitk.Image:
        """Give a SimpleITK image of this size this grid's spacing, origin and direction; returns the same image."""
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image


def _triple(values: NDArray[np.float64]) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z
