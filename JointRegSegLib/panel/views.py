"""Shows a finished run in the slice views. Without views, as in a script, nothing happens."""

from __future__ import annotations

from typing import Any

import slicer


def show_result(target: Any, warped_atlas: Any) -> None:
    """The target behind, the warped atlas (hidden at first) in front; segments draw themselves."""
    slicer.util.setSliceViewerLayers(background=target, foreground=warped_atlas, foregroundOpacity=0.0, fit=True)


def show_grid(transform: Any, visible: bool) -> None:
    """The deformation as a grid in the slice views."""
    display = transform.GetDisplayNode()
    if display is None:
        transform.CreateDefaultDisplayNodes()
        display = transform.GetDisplayNode()
        display.SetVisualizationMode(display.VIS_MODE_GRID)
    display.SetVisibility(visible)
    display.SetVisibility2D(visible)


def show_jacobian(jacobian: Any, visible: bool) -> None:
    """The local change of volume over the target, half transparent."""
    slicer.util.setSliceViewerLayers(
        foreground=jacobian if visible else None, foregroundOpacity=0.5 if visible else 0.0
    )
