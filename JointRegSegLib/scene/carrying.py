"""Anything of the scene brought to the other scan, as a copy: points, models, volumes, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk

from ..job import Code, JobError
from ..volumes import Grid
from .geometry import Voxels, ijk_to_ras, voxels_of, vtk_image
from .labels import add_segments, labels_of_segmentation
from .translation import quoted
from .translation import tr as _


def carry_over(scene: Any, node: Any, transform: Any) -> Any:
    """A copy of a node where a transform takes it; the node itself stays as it is.

    Points and models are moved. Volumes and labels are resampled on the grid of the scan that the transform leads to,
    labels with nearest neighbor: transforming a segmentation node loses content on oblique grids.

    Args:
        scene: of both.
        node: a markups, model, segmentation, label map volume or scalar volume node.
        transform: one of the two transform nodes of a loaded result.

    Returns: the new node, without a parent transform.

    Raises `JobError`: REQUEST_INVALID for another kind of node; what reading labels raises.
    """
    if not any(node.IsA(f"vtkMRML{kind}Node") for kind in ("Markups", "Model", "Segmentation", "ScalarVolume")):
        raise JobError(
            Code.REQUEST_INVALID,
            _("{name} cannot be carried over: it is a {kind}.").format(
                name=quoted(node.GetName()), kind=node.GetNodeTagName()
            ),
            _("Give points, a model, a volume or a segmentation."),
        )
    path = _through(scene, node, transform)
    try:
        if node.IsA("vtkMRMLSegmentationNode"):
            return _segmentation(scene, node, path, transform)
        if node.IsA("vtkMRMLScalarVolumeNode"):
            return _volume(scene, node, path, transform)
        return _moved(scene, node, path, transform)
    finally:
        scene.RemoveNode(path)


def _through(scene: Any, node: Any, transform: Any) -> Any:
    """A transform node for the way through the node's own transforms, and through the given one then."""
    own = vtk.vtkGeneralTransform()
    if node.GetParentTransformNode() is not None:
        node.GetParentTransformNode().GetTransformToWorld(own)
    path = scene.AddNewNodeByClass("vtkMRMLTransformNode")
    path.SetAndObserveTransformToParent(own)
    path.SetAndObserveTransformNodeID(transform.GetID())
    return path


def _moved(scene: Any, node: Any, path: Any, transform: Any) -> Any:
    made = scene.AddNewNodeByClass(node.GetClassName(), _name(node, transform))
    made.CopyContent(node)
    made.CreateDefaultDisplayNodes()
    made.SetAndObserveTransformNodeID(path.GetID())
    made.HardenTransform()
    return made


def _volume(scene: Any, node: Any, path: Any, transform: Any) -> Any:
    voxels = voxels_of(node)
    voxels = Voxels(voxels.array, voxels.ijk_to_ras, path)
    grid = _grid(transform, voxels)
    labels = node.IsA("vtkMRMLLabelMapVolumeNode")
    background = 0.0 if labels else float(np.min(voxels.array))
    made = scene.AddNewNodeByClass(node.GetClassName(), _name(node, transform))
    made.SetIJKToRASMatrix(ijk_to_ras(grid))
    made.SetAndObserveImageData(vtk_image(voxels.resampled(grid, nearest=labels, background=background)))
    made.CreateDefaultDisplayNodes()
    shown = node.GetDisplayNode()
    if shown is not None and shown.GetColorNodeID():
        made.GetDisplayNode().SetAndObserveColorNodeID(shown.GetColorNodeID())
    return made


def _segmentation(scene: Any, node: Any, path: Any, transform: Any) -> Any:
    reference = _reference(transform)
    like = voxels_of(reference) if reference is not None else Voxels(np.zeros((64, 64, 64), np.uint8), np.eye(4))
    voxels, table = labels_of_segmentation(node, like)
    voxels = Voxels(voxels.array, voxels.ijk_to_ras, path)
    grid = _grid(transform, voxels)
    made = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", _name(node, transform))
    made.CreateDefaultDisplayNodes()
    if reference is not None:
        made.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    add_segments(made, voxels.resampled(grid, nearest=True), ijk_to_ras(grid), table)
    return made


def _reference(transform: Any) -> Any:
    """The scan that the transform leads to; None where it is gone or was a file."""
    return transform.GetNodeReference(transform.GetFixedNodeReferenceRole())


def _grid(transform: Any, voxels: Voxels) -> Grid:
    reference = _reference(transform)
    grid = voxels_of(reference).world_grid() if reference is not None else None
    return grid if grid is not None else voxels.covering_grid()


def _name(node: Any, transform: Any) -> str:
    return f"{node.GetName()} ({transform.GetName()})"
