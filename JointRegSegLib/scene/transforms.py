"""A field file and an affine as a transform node: the affine, and a grid of what the field adds to it.

Slicer repeats a grid's border outside it, ITK puts zero there. So the grid holds only the residual over the affine, and
is padded by a rim in which the residual fades to zero: outside, both programs find the affine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from numpy.typing import NDArray

from ..volumes import Grid, to_sitk
from .geometry import RAS_LPS, Matrix, vtk_image, vtk_matrix

_LEAST_RIM = 3
_FADE = 3.0  # the rim is this many times as wide as the displacement it fades: the fade itself then cannot fold
_ENOUGH_RIM = 16  # voxels that a side may always have; beyond them at most
_LARGEST_RIM = 4  # the size of the grid over this, to bound the memory
_LINES = 16
_DRAWN_POINTS = 48


def composite(rest: NDArray[Any], grid: Grid, affine: Matrix) -> Any:
    """The vtkGeneralTransform x -> A (x + r(x)) in RAS mm.

    Args:
        rest: r, (k, j, i, 3), LPS mm, as `with_rim` gives it.
        grid: of `rest`.
        affine: A, 4x4, LPS mm.
    """
    linear = vtk.vtkTransform()
    linear.SetMatrix(vtk_matrix(RAS_LPS @ affine @ RAS_LPS))
    total = vtk.vtkGeneralTransform()
    total.Concatenate(linear)
    total.Concatenate(displacement(rest, grid))  # added last, applied first
    return total


def displacement(rest: NDArray[Any], grid: Grid) -> Any:
    """The vtkOrientedGridTransform x -> x + r(x) in RAS mm, from r (k, j, i, 3) in LPS mm."""
    image = vtk_image(rest * np.array((-1.0, -1.0, 1.0), rest.dtype))
    image.SetSpacing(grid.spacing)
    image.SetOrigin(*(RAS_LPS[:3, :3] @ grid.origin))
    direction = np.eye(4)
    direction[:3, :3] = RAS_LPS[:3, :3] @ np.reshape(grid.direction, (3, 3))
    made = slicer.vtkOrientedGridTransform()
    made.SetGridDirectionMatrix(vtk_matrix(direction))
    made.SetDisplacementGridData(image)
    return made


def coarsened(rest: NDArray[np.float32], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """The residual at few points, enough to draw it."""
    i, j, k = (min(n, _DRAWN_POINTS) for n in grid.size)
    coarse = grid.resized((i, j, k))
    image = sitk.Resample(to_sitk(rest, grid), coarse.empty_image(), sitk.Transform(), sitk.sitkLinear)
    return sitk.GetArrayFromImage(image), coarse


def residual(vectors: NDArray[Any], grid: Grid, affine: Matrix) -> NDArray[np.float32]:
    """r(x) = A^-1 (x + u(x)) - x at the grid's points, (k, j, i, 3) in mm, so that x + u(x) = A (x + r(x))."""
    back = np.linalg.inv(affine)
    rest = np.empty(vectors.shape, np.float32)
    indices = np.zeros((*vectors.shape[1:3], 3))
    indices[..., 1], indices[..., 0] = np.meshgrid(*(np.arange(n) for n in vectors.shape[1:3]), indexing="ij")
    for k, plane in enumerate(vectors):
        indices[..., 2] = k
        points = grid.to_lps(indices)
        rest[k] = (points + plane) @ back[:3, :3].T + back[:3, 3] - points
    return rest


def with_rim(rest: NDArray[np.float32], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """The residual with its border values continued outwards and faded to zero, and the grid that this lies on."""
    rims = [_rims(rest, axis, grid.spacing[2 - axis]) for axis in range(3)]
    wide = np.pad(rest, [*rims, (0, 0)], mode="edge")
    for axis, (before, after) in enumerate(rims):
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        wide *= _fade(before, rest.shape[axis], after).reshape(shape)
    k, j, i = (before for before, _ in rims)
    depth, height, width = wide.shape[:3]
    return wide, grid.box((-i, -j, -k), (width, height, depth))


def add_transform(scene: Any, name: str, transform: Any) -> Any:
    """A transform node that maps from its parent (fixed to moving), so what lies under it goes the other way.

    Args:
        scene: to add to.
        name: of the node.
        transform: a vtkAbstractTransform in RAS mm.
    """
    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", name)
    node.SetAndObserveTransformFromParent(transform)
    return node


def set_up_grid(node: Any, region_id: str, extent_mm: float) -> None:
    """Prepare the display of a transform node as a grid, hidden at first.

    Args:
        node: the transform node.
        region_id: the node whose region the grid covers.
        extent_mm: the region's longest side, which sets the spacing of the lines.
    """
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetGridSpacingMm(extent_mm / _LINES)
    display.SetGridResolutionMm(extent_mm / _LINES / 5.0)
    display.SetGridLineDiameterMm(extent_mm / _LINES / 15.0)
    region = node.GetScene().GetNodeByID(region_id)
    if region is not None:
        display.SetAndObserveRegionNode(region)
    show_grid(node, False)


def show_grid(node: Any, visible: bool = True) -> None:
    """Show or hide the deformed grid of a transform node in the slice views; in 3-D views it stays hidden."""
    display = node.GetDisplayNode()
    display.SetVisibility(visible)
    display.SetVisibility2D(visible)
    display.SetVisibility3D(False)


def _rims(rest: NDArray[np.float32], axis: int, spacing: float) -> tuple[int, int]:
    """Voxels to add before and after an axis, each by the largest residual on that face."""
    largest = max(_ENOUGH_RIM, rest.shape[axis] // _LARGEST_RIM)
    faces = (np.take(rest, side, axis=axis) for side in (0, -1))
    wanted = (_FADE * float(np.linalg.norm(face, axis=-1).max()) / spacing for face in faces)
    before, after = (int(np.clip(np.ceil(voxels), _LEAST_RIM, largest)) for voxels in wanted)
    return before, after


def _fade(before: int, inside: int, after: int) -> NDArray[np.float32]:
    """1 inside, falling to 0 at both ends along 3 t^2 - 2 t^3, whose slope is 0 at both ends of each rim."""
    ramp = np.concatenate([np.arange(before) / before, np.ones(inside), np.arange(after)[::-1] / after])
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp), np.float32)
