"""A result becomes nodes, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from ..job import Result
from ..job import result as files
from ..volumes import Grid
from .contents import Contents, Grids
from .geometry import ijk_to_ras, voxels_of, vtk_image
from .labels import add_segments, color_table
from .transforms import add_transform, coarsened, composite, displacement, residual, set_up_grid, with_rim
from .translation import tr as _

_JACOBIAN_SHADES = 256


@dataclass(frozen=True)
class RunNodes:
    """The nodes of one loaded result, by ID, so that it does no harm when the user deletes some.

    Attributes:
        segmentation: one segment for each structure, with names, colors and terminology.
        labels: the same as a label map volume.
        atlas_to_target: transform node that brings what lies under it from the atlas to the target.
        target_to_atlas: the other way.
        deformation: transform node that draws what the registration did beyond the affine, as a grid on the target.
        warped_atlas: the atlas's scan on the target's grid.
        jacobian: local volume change, 1 = none, below 0 = folded.
        quality: table node.
        label_colors: color node of `labels`.
        jacobian_colors: color node of `jacobian`.
        folder: subject hierarchy item.
    """

    segmentation: str
    labels: str
    atlas_to_target: str
    target_to_atlas: str
    deformation: str
    warped_atlas: str
    jacobian: str
    quality: str
    label_colors: str
    jacobian_colors: str
    folder: int

    def remove(self, scene: Any) -> None:
        """Delete the nodes that are still there, and the folder where nothing else lies in it."""
        scene.StartState(slicer.vtkMRMLScene.BatchProcessState)
        try:
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
            for node_id in (value for value in astuple(self) if isinstance(value, str)):
                node = scene.GetNodeByID(node_id)
                item = hierarchy.GetItemByDataNode(node) if node is not None else 0
                if item:
                    hierarchy.RemoveItem(item, False, False)
                _remove_node(scene, node)
            if self.folder in _items(scene) and not any(_is_alive(scene, item) for item in _items(scene, self.folder)):
                hierarchy.RemoveItem(self.folder, False, True)
        finally:
            scene.EndState(slicer.vtkMRMLScene.BatchProcessState)


def load_result(
    scene: Any,
    result: Result,
    *,
    target_id: str = "",
    atlas_id: str = "",
    grids: Grids | None = None,
    refined: bool = False,
) -> RunNodes:
    """Check a result and add its nodes to the scene, in world space and without parent transforms.

    Args:
        scene: to add to. It is as before where the result cannot be loaded.
        result: of one run.
        target_id: the target's volume node; references to it are left out where it is gone by now.
        atlas_id: the same for the atlas.
        grids: those of the request's scans, which the result must fit; not compared where None.
        refined: whether the result goes on from an earlier one, from whose nodes its names must differ.

    Raises:
        JobError: RESULT_INVALID where files are damaged, not finite, or on grids that do not belong together.
    """
    contents = Contents.read(result, grids)
    with _all_or_nothing(scene):
        return _Loader(scene, contents, scene.GetNodeByID(target_id), scene.GetNodeByID(atlas_id), refined).load()


class _Loader:
    """Makes the nodes of one result."""

    def __init__(self, scene: Any, contents: Contents, target: Any, atlas: Any, refined: bool) -> None:
        self._scene = scene
        self._contents = contents
        self._target = target
        self._atlas = atlas
        self._refined = refined
        self._name = target.GetName() if target is not None else _("target")
        if refined:
            self._name = _("{name} refined").format(name=self._name)

    def load(self) -> RunNodes:
        """Add everything."""
        contents = self._contents
        label_colors = color_table(self._scene, self._called(_("{name} label names")), contents.table)
        labels = self._volume(_("{name} labels"), contents.labels, "vtkMRMLLabelMapVolumeNode", label_colors)
        segmentation = self._segmentation(_("{name} segmentation"), labels)
        warped = self._volume(_("Atlas on {name}"), contents.warped_atlas, "vtkMRMLScalarVolumeNode")
        shades = _jacobian_colors(self._scene, self._called(_("{name} volume change colors")))
        jacobian = self._volume(_("{name} volume change"), contents.jacobian, "vtkMRMLScalarVolumeNode", shades)
        jacobian.GetDisplayNode().SetAutoWindowLevel(False)
        jacobian.GetDisplayNode().SetWindowLevelMinMax(0.0, 2.0)
        to_target, deformation = self._forward(labels)
        to_atlas = self._transform(_("{name} to atlas"), files.FIELD_INVERSE, self._target, self._atlas)[0]
        quality = self._table(_("{name} quality"))
        shown = (segmentation, labels, to_target, to_atlas, deformation, warped, jacobian, quality)
        for node in shown:
            self._sign(node)
        return RunNodes(*(node.GetID() for node in (*shown, label_colors, shades)), folder=self._folder(shown))

    def _called(self, name: str) -> str:
        """A node's name, with the target's in it."""
        return name.format(name=self._name)

    def _volume(self, name: str, array: NDArray[Any], kind: str, colors: Any = None) -> Any:
        node = self._scene.AddNewNodeByClass(kind, self._called(name))
        node.SetIJKToRASMatrix(ijk_to_ras(self._contents.grid))
        node.SetAndObserveImageData(vtk_image(array))
        node.CreateDefaultDisplayNodes()
        if colors is not None:
            node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
        return node

    def _segmentation(self, name: str, labels: Any) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", self._called(name))
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(labels)
        if self._target is not None and _lies_on(self._target, self._contents.grid):
            node.SetNodeReferenceID(node.GetReferenceImageGeometryReferenceRole(), self._target.GetID())
        add_segments(node, self._contents.labels, ijk_to_ras(self._contents.grid), self._contents.table)
        segments = node.GetSegmentation()
        for segment in map(segments.GetSegment, segments.GetSegmentIDs()):
            # A DICOM segmentation object made of it would else call it drawn by hand.
            segment.SetTag("DICOM.SegmentAlgorithmType", "SEMIAUTOMATIC" if self._refined else "AUTOMATIC")
            segment.SetTag("DICOM.SegmentAlgorithmName", f"JointRegSeg {self._contents.manifest.get('version', '')}")
        return node

    def _forward(self, region: Any) -> tuple[Any, Any]:
        """The node from atlas to target, and the node that draws its deformation.

        Slicer draws a transform where it takes the points. An affine between two scanners' coordinates takes them out
        of the view, so what is drawn is the residual alone, which stays on the target.
        """
        node, rest, grid = self._transform(_("Atlas to {name}"), files.FIELD, self._atlas, self._target)
        drawn = add_transform(
            self._scene,
            self._called(_("{name} deformation (for display)")),
            displacement(*coarsened(rest, grid)),
        )
        set_up_grid(drawn, region.GetID(), max(self._contents.grid.extent))
        return node, drawn

    def _transform(self, name: str, file: str, moving: Any, fixed: Any) -> tuple[Any, NDArray[Any], Grid]:
        """A transform node, and the residual and grid that it holds beside the affine."""
        vectors, grid, affine = self._contents.field(file)
        rest, wider = with_rim(residual(vectors, grid, affine), grid)
        node = add_transform(self._scene, self._called(name), composite(rest, wider, affine))
        set_up_grid(node, moving.GetID() if moving is not None else "", max(grid.extent))
        for role, other in (
            (node.GetMovingNodeReferenceRole(), moving),
            (node.GetFixedNodeReferenceRole(), fixed),
        ):
            if other is not None:
                node.SetNodeReferenceID(role, other.GetID())
        return node, rest, wider

    def _table(self, name: str) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLTableNode", self._called(name))
        rows = self._contents.quality.rows()
        for column, header in enumerate((_("group"), _("name"), _("value"), _("unit"), _("status"))):
            values = vtk.vtkStringArray()
            values.SetName(header)
            for row in rows:
                values.InsertNextValue(row[column])
            node.AddColumn(values)
        node.SetUseColumnTitleAsColumnHeader(True)
        return node

    def _sign(self, node: Any) -> None:
        """Say in the node's attributes what made it: every single value of the manifest."""
        for key, value in self._contents.manifest.items():
            if isinstance(value, str | int | float):
                node.SetAttribute(f"JointRegSeg.{key}", str(value))

    def _folder(self, nodes: tuple[Any, ...]) -> int:
        """A folder beside the target that holds the nodes."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self._scene)
        beside = hierarchy.GetItemByDataNode(self._target) if self._target is not None else 0
        parent = hierarchy.GetItemParent(beside) if beside else 0
        folder = hierarchy.CreateFolderItem(parent or hierarchy.GetSceneItemID(), f"JointRegSeg: {self._name}")
        for node in nodes:
            item = hierarchy.GetItemByDataNode(node)
            if item:
                hierarchy.SetItemParent(item, folder)
            else:  # outside the application nothing makes items for new nodes
                hierarchy.CreateItem(folder, node)
        return int(folder)


@contextmanager
def _all_or_nothing(scene: Any) -> Iterator[None]:
    """Undo what the block added to the scene when it fails; views wait for its end."""
    nodes, items = _node_ids(scene), _items(scene)
    scene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    try:
        yield
    except BaseException:
        for item in _items(scene) - items:
            slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene).RemoveItem(item, False, False)
        for node_id in _node_ids(scene) - nodes:
            _remove_node(scene, scene.GetNodeByID(node_id))
        raise
    finally:
        scene.EndState(slicer.vtkMRMLScene.BatchProcessState)


def _node_ids(scene: Any) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def _items(scene: Any, below: int = 0) -> set[int]:
    """All subject hierarchy items of the scene, or those below one."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    found = vtk.vtkIdList()
    hierarchy.GetItemChildren(below or hierarchy.GetSceneItemID(), found, True)
    return {found.GetId(index) for index in range(found.GetNumberOfIds())}


def _is_alive(scene: Any, item: int) -> bool:
    """Whether an item is a folder, or stands for a node that is in the scene."""
    node = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene).GetItemDataNode(item)
    return node is None or scene.GetNodeByID(node.GetID() or "") is node


def _remove_node(scene: Any, node: Any) -> None:
    """Remove a node with its display and storage nodes."""
    if node is None:
        return
    owned = []
    if node.IsA("vtkMRMLDisplayableNode"):
        owned += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        owned += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    for part in [node, *(part for part in owned if part is not None)]:
        scene.RemoveNode(part)


def _lies_on(volume: Any, grid: Grid) -> bool:
    if volume.GetImageData() is None:
        return False
    own = voxels_of(volume).world_grid()
    return own is not None and own.same_as(grid)


def _jacobian_colors(scene: Any, name: str) -> Any:
    """A color node from blue (shrinks) over white (1, at the middle) to red (grows)."""
    node = scene.AddNewNodeByClass("vtkMRMLColorTableNode", name)
    node.SetTypeToUser()
    node.SetHideFromEditors(False)
    node.SetNumberOfColors(_JACOBIAN_SHADES)
    for index, t in enumerate(np.linspace(-1.0, 1.0, _JACOBIAN_SHADES)):
        red, green, blue = 1.0 - 0.85 * max(-t, 0.0), 1.0 - 0.8 * abs(t), 1.0 - 0.85 * max(t, 0.0)
        node.SetColor(index, f"{1.0 + t:.2f}", float(red), float(green), float(blue), 1.0)
    return node
