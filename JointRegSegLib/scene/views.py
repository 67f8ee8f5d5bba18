"""Bring a loaded result before the user's eyes, where there are views."""

from __future__ import annotations

from typing import Any

from .outputs import RunNodes


def show(scene: Any, run: RunNodes, target_id: str = "", atlas_opacity: float = 0.0) -> int:
    """Put the target and, over it, the warped atlas into all slice views; segments show by themselves.

    Returns the number of slice views, 0 where the application shows none (then nothing happens).
    """
    composites = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    composites.UnRegister(None)
    target = scene.GetNodeByID(target_id)
    for index in range(composites.GetNumberOfItems()):
        composite = composites.GetItemAsObject(index)
        if target is not None:
            composite.SetBackgroundVolumeID(target_id)
        composite.SetForegroundVolumeID(run.warped_atlas)
        composite.SetForegroundOpacity(atlas_opacity)
        composite.SetLabelVolumeID("")
    return int(composites.GetNumberOfItems())
