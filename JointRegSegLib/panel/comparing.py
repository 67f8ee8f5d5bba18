"""Ways to look at a result in the views: side by side, faded, as a checkerboard, its grid and its change of volume."""

from __future__ import annotations

from typing import Any

import slicer

from ..scene import RunNodes, back_to, checkerboard, fade, show, show_grid, show_surfaces, side_by_side


class Comparing:
    """The buttons and the slider that change what the views show.

    Args:
        ui: the panel's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._nodes: RunNodes | None = None
        self._target_id = ""
        self._layout_before = 0
        self._checkerboard_id = ""
        ui.fadeSlider.connect("valueChanged(int)", self._on_fade)
        ui.compareButton.connect("toggled(bool)", self._on_compare)
        ui.checkerboardButton.connect("toggled(bool)", self._on_checkerboard)
        ui.gridButton.connect("toggled(bool)", self._on_show_grid)
        ui.jacobianButton.connect("toggled(bool)", self._on_show_jacobian)
        ui.surfacesButton.connect("toggled(bool)", self._on_show_surfaces)

    def show(self, nodes: RunNodes | None, target_id: str) -> None:
        """Look at this result from now on; None at none. The user may have deleted any of its nodes."""
        ui = self._ui
        buttons = (ui.compareButton, ui.checkerboardButton, ui.gridButton, ui.jacobianButton, ui.surfacesButton)
        for button in buttons:
            button.checked = False
            button.enabled = nodes is not None
        ui.fadeSlider.value = 0
        ui.fadeSlider.enabled = nodes is not None
        self._nodes, self._target_id, self._checkerboard_id = nodes, target_id, ""
        if nodes is not None:
            show(slicer.mrmlScene, nodes, target_id)

    def _on_fade(self, percent: int) -> None:
        if self._nodes is not None:
            fade(slicer.mrmlScene, percent / 100.0)

    def _on_compare(self, checked: bool) -> None:
        if self._nodes is None:
            return
        if checked:
            self._layout_before = side_by_side(slicer.mrmlScene, self._nodes, self._target_id)
        else:
            back_to(slicer.mrmlScene, self._layout_before)
            show(slicer.mrmlScene, self._nodes, self._target_id, self._ui.fadeSlider.value / 100.0)

    def _on_checkerboard(self, checked: bool) -> None:
        if self._nodes is None:
            return
        scene = slicer.mrmlScene
        self._ui.jacobianButton.checked = False
        made = scene.GetNodeByID(self._checkerboard_id)
        if checked and made is None:
            made = checkerboard(scene, self._nodes, scene.GetNodeByID(self._target_id))
            self._checkerboard_id = made.GetID() if made is not None else ""
        self._put_over(made if checked else None, 1.0)

    def _on_show_jacobian(self, checked: bool) -> None:
        """Over the target, half transparent."""
        if self._nodes is None:
            return
        self._ui.checkerboardButton.checked = False
        self._put_over(slicer.mrmlScene.GetNodeByID(self._nodes.jacobian) if checked else None, 0.5)

    def _put_over(self, node: Any, opacity: float) -> None:
        """Show a volume over the target; None brings the warped atlas back, as much of it as the slider says."""
        if node is None:
            node = slicer.mrmlScene.GetNodeByID(self._nodes.warped_atlas) if self._nodes is not None else None
            opacity = self._ui.fadeSlider.value / 100.0
        slicer.util.setSliceViewerLayers(foreground=node, foregroundOpacity=opacity)

    def _on_show_grid(self, visible: bool) -> None:
        transform = slicer.mrmlScene.GetNodeByID(self._nodes.deformation) if self._nodes is not None else None
        if transform is not None and transform.GetDisplayNode() is not None:
            show_grid(transform, visible)

    def _on_show_surfaces(self, visible: bool) -> None:
        if self._nodes is not None:
            show_surfaces(slicer.mrmlScene, self._nodes, visible)
