"""Where a node's voxels lie in the world, and its voxels as SimpleITK images there. Slicer is RAS, files are LPS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..job import Code, JobError
from ..volumes import Grid, Volume
from .translation import quoted
from .translation import tr as _

Matrix = NDArray[np.float64]
RAS_LPS = np.diag((-1.0, -1.0, 1.0, 1.0))
_RIGHT_ANGLES = 1e-4
_SAMPLES = 9


@dataclass(frozen=True)
class Voxels:
    """An image as a node holds it: in the node's own space, which a parent transform may carry elsewhere.

    Attributes:
        array: (k, j, i).
        ijk_to_ras: 4x4, from indices to RAS mm of the node's own space.
        parent: the vtkMRMLTransformNode above the node, or None.
    """

    array: NDArray[Any]
    ijk_to_ras: Matrix
    parent: Any = None

    @property
    def size(self) -> tuple[int, int, int]:
        """Number of voxels along i, j, k."""
        k, j, i = self.array.shape
        return i, j, k

    def world_grid(self) -> Grid | None:
        """The grid in world space, or None where the parent transforms leave no right-angled grid."""
        to_world = _linear_to_world(self.parent)
        return None if to_world is None else right_angled(to_world @ self.ijk_to_ras, self.size)

    def covering_grid(self) -> Grid:
        """A right-angled grid in world space about the transformed voxels, of about their size and direction."""
        steps = [np.linspace(-0.5, n - 0.5, _SAMPLES) for n in self.size]
        indices = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        points = self._to_world_lps(indices)
        ones = np.ones((len(indices), 1))
        linear = np.linalg.lstsq(np.hstack([indices, ones]), points, rcond=None)[0][:3].T
        u, _s, vt = np.linalg.svd(linear / np.linalg.norm(linear, axis=0))
        direction, spacing = u @ vt, np.linalg.norm(linear, axis=0)
        along = points @ direction / spacing
        low, high = along.min(axis=0) + 0.5, along.max(axis=0) - 0.5
        i, j, k = (max(int(n), 2) for n in np.ceil(high - low - 1e-3) + 1)
        x, y, z = (float(value) for value in direction @ (low * spacing))
        a, b, c = (float(value) for value in spacing)
        return Grid((i, j, k), (a, b, c), (x, y, z), tuple(float(value) for value in direction.ravel()))

    def resampled(self, grid: Grid, nearest: bool, background: float = 0.0) -> NDArray[Any]:
        """The voxels (k, j, i) at a world grid's points through all parent transforms, in this image's own type."""
        mapping = vtk.vtkGeneralTransform()
        mapping.PostMultiply()
        mapping.Concatenate(vtk_matrix(RAS_LPS @ grid.matrix))
        if self.parent is not None:
            from_world = vtk.vtkGeneralTransform()
            self.parent.GetTransformFromWorld(from_world)
            mapping.Concatenate(from_world)
        mapping.Concatenate(vtk_matrix(np.linalg.inv(self.ijk_to_ras)))
        reslice = vtk.vtkImageReslice()
        reslice.SetInputData(vtk_image(self.array))
        reslice.SetResliceTransform(mapping)
        reslice.SetOutputSpacing(1.0, 1.0, 1.0)
        reslice.SetOutputOrigin(0.0, 0.0, 0.0)
        reslice.SetOutputExtent(0, grid.size[0] - 1, 0, grid.size[1] - 1, 0, grid.size[2] - 1)
        reslice.SetBackgroundLevel(background)
        if nearest:
            reslice.SetInterpolationModeToNearestNeighbor()
        else:
            reslice.SetInterpolationModeToLinear()
        reslice.Update()
        return array_of(reslice.GetOutput())

    def in_world(self) -> tuple[Volume, bool]:
        """The image in world space, and whether it had to be resampled (linearly) to get there."""
        grid = self.world_grid()
        if grid is not None:
            return Volume(self.array, grid), False
        around = self.covering_grid()
        return Volume(self.resampled(around, nearest=False, background=float(self.array.min())), around), True

    def _to_world_lps(self, indices: NDArray[np.float64]) -> NDArray[np.float64]:
        own = indices @ self.ijk_to_ras[:3, :3].T + self.ijk_to_ras[:3, 3]
        if self.parent is None:
            return own * (-1.0, -1.0, 1.0)
        to_world = vtk.vtkGeneralTransform()
        self.parent.GetTransformToWorld(to_world)
        return np.array([to_world.TransformPoint(point) for point in own.tolist()]) * (-1.0, -1.0, 1.0)


def voxels_of(node: Any) -> Voxels:
    """The image of a scalar volume or label map node.

    Raises `JobError`: IMAGE_EMPTY for a node without an image, NOT_3D for several values per voxel.
    """
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise JobError(
            Code.IMAGE_EMPTY,
            _("The node {name} holds no image.").format(name=quoted(node.GetName())),
            _("Load the scan again."),
        )
    components = image.GetNumberOfScalarComponents()
    if components != 1:
        raise JobError(
            Code.NOT_3D,
            _("The node {name} has {count} values in each voxel.").format(
                name=quoted(node.GetName()), count=components
            ),
            _("Give a volume with one number per voxel; of a color image or time series take one component."),
        )
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return Voxels(array_of(image), matrix_of(matrix), node.GetParentTransformNode())


def right_angled(ijk_to_ras: Matrix, size: tuple[int, int, int]) -> Grid | None:
    """The grid with this matrix from indices to RAS mm, or None where its axes are not at right angles."""
    lps = RAS_LPS @ ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    if not np.isfinite(lps).all() or spacing.min() <= 0:
        return None
    direction = lps[:3, :3] / spacing
    if np.abs(direction.T @ direction - np.eye(3)).max() > _RIGHT_ANGLES:
        return None
    u, _s, vt = np.linalg.svd(direction)
    a, b, c = (float(value) for value in spacing)
    x, y, z = (float(value) for value in lps[:3, 3])
    return Grid(size, (a, b, c), (x, y, z), tuple(float(value) for value in (u @ vt).ravel()))


def ijk_to_ras(grid: Grid) -> Any:
    """The vtkMatrix4x4 that a volume node on this grid has."""
    return vtk_matrix(RAS_LPS @ grid.matrix)


def vtk_matrix(matrix: Matrix) -> Any:
    """A 4x4 array as vtkMatrix4x4."""
    made = vtk.vtkMatrix4x4()
    made.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    return made


def matrix_of(matrix: Any) -> Matrix:
    """A vtkMatrix4x4 as a 4x4 array."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def vtk_image(array: NDArray[Any]) -> Any:
    """A copy of the array (k, j, i) or (k, j, i, component) as vtkImageData in index space."""
    image = vtk.vtkImageData()
    k, j, i = array.shape[:3]
    image.SetDimensions(i, j, k)
    flat = np.ascontiguousarray(array).reshape(i * j * k, -1)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    return image


def array_of(image: Any) -> NDArray[Any]:
    """A copy of the scalars of vtkImageData, (k, j, i)."""
    i, j, k = image.GetDimensions()
    return np.array(vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i))


def _linear_to_world(parent: Any) -> Matrix | None:
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        return None
    matrix = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    return matrix_of(matrix)
