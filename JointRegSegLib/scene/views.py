"""Bring a loaded result before the user's eyes, where there are views."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import slicer

from .labels import segment_id
from .outputs import RunNodes

LAYOUT = 6180
"""Of the side-by-side layout; any number that no other extension takes."""
_UPPER, _LOWER = ("Red", "Green", "Yellow"), ("RegRed", "RegGreen", "RegYellow")
_ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
_COLORS = ("#F34A33", "#6EB04B", "#EDD54C")


def show(scene: Any, run: RunNodes, target_id: str = "", atlas_opacity: float = 0.0) -> int:
    """Put the target and, over it, the warped atlas into all slice views; segments show by themselves.

    Returns the number of slice views, 0 where the application shows none (then nothing happens).
    """
    count = 0
    for composite in _composites(scene):
        if scene.GetNodeByID(target_id) is not None:
            composite.SetBackgroundVolumeID(target_id)
        composite.SetForegroundVolumeID(run.warped_atlas)
        composite.SetForegroundOpacity(atlas_opacity)
        composite.SetLabelVolumeID("")
        count += 1
    return count


def fade(scene: Any, share: float) -> None:
    """How much of the foreground is seen in all slice views, 0 to 1."""
    for composite in _composites(scene):
        composite.SetForegroundOpacity(share)


def side_by_side(scene: Any, run: RunNodes, target_id: str) -> int:
    """Show the target in the upper slice views and the warped atlas in the lower ones, all linked.

    Returns the layout that was shown before, 0 where the application has none (then nothing happens).
    """
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is None:
        return 0
    before = layout.GetViewArrangement()
    if not layout.IsLayoutDescription(LAYOUT):
        layout.AddLayoutDescription(LAYOUT, _description())
    layout.SetViewArrangement(LAYOUT)
    for composite in _composites(scene):
        lower = composite.GetLayoutName() in _LOWER
        composite.SetBackgroundVolumeID(run.warped_atlas if lower else target_id)
        composite.SetForegroundVolumeID("" if lower else run.warped_atlas)
        composite.SetForegroundOpacity(0.0)
        composite.SetLinkedControl(True)
        composite.SetHotLinkedControl(True)
    return 0 if before == LAYOUT else int(before)


def back_to(scene: Any, layout_number: int) -> None:
    """Show an earlier layout again."""
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is not None and layout_number:
        layout.SetViewArrangement(layout_number)


def jump_to(scene: Any, run: RunNodes, value: int) -> bool:
    """Move all slice views to the middle of a structure; False where it is gone."""
    segmentation = scene.GetNodeByID(run.segmentation)
    segment = segment_id(value)
    if segmentation is None or segmentation.GetSegmentation().GetSegment(segment) is None:
        return False
    centre = [0.0, 0.0, 0.0]
    segmentation.GetSegmentCenterRAS(segment, centre)
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *centre, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    return True


def show_surfaces(scene: Any, run: RunNodes, visible: bool) -> None:
    """Make surfaces of the structures where there are none, and show or hide them in 3-D views."""
    segmentation = scene.GetNodeByID(run.segmentation)
    if segmentation is None:
        return
    if visible:
        segmentation.CreateClosedSurfaceRepresentation()
    segmentation.CreateDefaultDisplayNodes()
    segmentation.GetDisplayNode().SetVisibility3D(visible)


def hide_segments(scene: Any, run: RunNodes) -> None:
    """Hide the segmentation of a result that a later one replaces."""
    segmentation = scene.GetNodeByID(run.segmentation)
    if segmentation is not None and segmentation.GetDisplayNode() is not None:
        segmentation.GetDisplayNode().SetVisibility(False)


def _composites(scene: Any) -> Iterator[Any]:
    """The nodes that say what each slice view shows."""
    found = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    found.UnRegister(None)
    yield from (found.GetItemAsObject(index) for index in range(found.GetNumberOfItems()))


def _description() -> str:
    """Two rows of three slice views, in the words of layout nodes."""
    rows = []
    for names in (_UPPER, _LOWER):
        views = "".join(
            f"<item><view class='vtkMRMLSliceNode' singletontag='{name}'>"
            f"<property name='orientation' action='default'>{orientation}</property>"
            f"<property name='viewlabel' action='default'>{name}</property>"
            f"<property name='viewcolor' action='default'>{color}</property></view></item>"
            for name, orientation, color in zip(names, _ORIENTATIONS, _COLORS, strict=True)
        )
        rows.append(f"<item><layout type='horizontal'>{views}</layout></item>")
    return f"<layout type='vertical' split='true'>{''.join(rows)}</layout>"
