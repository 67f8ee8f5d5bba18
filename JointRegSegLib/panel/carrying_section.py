"""The part of the panel that carries other things of the scene over, from the atlas to the target or back."""

from __future__ import annotations

from typing import Any

import slicer
from slicer.i18n import tr as _

from ..job import JobError
from ..scene import RunNodes, carry_over
from .telling import tell


class CarryingSection:
    """A selector, a direction and a button.

    Args:
        ui: the panel's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._nodes: RunNodes | None = None
        ui.applyDirectionComboBox.addItem(_("From the atlas to the target"))
        ui.applyDirectionComboBox.addItem(_("From the target to the atlas"))
        ui.applyNodeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._update)
        ui.applyButton.connect("clicked(bool)", self._on_apply)

    def show(self, nodes: RunNodes | None) -> None:
        """Carry over by this result from now on; None by none."""
        self._nodes = nodes
        self._update()

    def _update(self, node: Any = None) -> None:
        self._ui.applyButton.enabled = self._nodes is not None and self._ui.applyNodeSelector.currentNode() is not None

    def _on_apply(self, checked: bool = False) -> None:
        nodes, ui = self._nodes, self._ui
        if nodes is None:
            return
        backwards = ui.applyDirectionComboBox.currentIndex == 1
        transform = slicer.mrmlScene.GetNodeByID(nodes.target_to_atlas if backwards else nodes.atlas_to_target)
        if transform is None:
            slicer.util.errorDisplay(_("The transform of this result was deleted. Run again."))
            return
        try:
            carry_over(slicer.mrmlScene, ui.applyNodeSelector.currentNode(), transform)
        except JobError as error:
            tell(error)
