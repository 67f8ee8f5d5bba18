"""Run is enabled when it can run, and says why where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.clicks import click  # noqa: E402

pytestmark = pytest.mark.gui

Nodes = tuple[Any, Any, Any]


def why_not(widget: Any) -> str:
    """What the Run button's tooltip says; empty where the button is enabled."""
    button = widget.panel.ui.runButton
    return "" if button.enabled else button.toolTip


def test_everything_chosen_can_run(widget: Any, chosen: Nodes) -> None:
    assert why_not(widget) == ""
    assert widget.panel.ui.statusLabel.text == "Ready."


@pytest.mark.parametrize(
    ("selector", "word"),
    [("atlasVolumeSelector", "atlas"), ("atlasLabelsSelector", "labels"), ("targetVolumeSelector", "target")],
)
def test_a_missing_input_is_named(widget: Any, chosen: Nodes, selector: str, word: str) -> None:
    getattr(widget.panel.ui, selector).setCurrentNode(None)
    assert why_not(widget).startswith("Select the")
    assert word in why_not(widget)
    assert widget.panel.ui.statusLabel.text == why_not(widget)


def test_a_disabled_run_button_starts_nothing(widget: Any, fake_job: Any) -> None:
    click(widget.panel.ui.runButton)
    assert fake_job.request is None


def test_an_atlas_is_not_its_own_target(widget: Any, chosen: Nodes) -> None:
    widget.panel.ui.targetVolumeSelector.setCurrentNode(chosen[0])
    assert "same volume" in why_not(widget)


def test_an_empty_segmentation_is_named(widget: Any, chosen: Nodes) -> None:
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing drawn")
    widget.panel.ui.atlasLabelsSelector.setCurrentNode(empty)
    assert why_not(widget).startswith("nothing drawn is empty")


def test_start_from_a_transform_needs_one(widget: Any, chosen: Nodes) -> None:
    ui = widget.panel.ui
    assert not ui.startTransformSelector.enabled
    ui.startComboBox.currentIndex = 2
    assert ui.startTransformSelector.enabled
    assert "transform" in why_not(widget)
    ui.startTransformSelector.setCurrentNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "rough"))
    assert why_not(widget) == ""


def test_a_deleted_input_disables_run(widget: Any, chosen: Nodes) -> None:
    slicer.mrmlScene.RemoveNode(chosen[2])
    assert "target" in why_not(widget)


def test_scans_and_labels_have_selectors_of_their_own(widget: Any, make_nodes: Callable[[], Nodes]) -> None:
    atlas, labels, _ = make_nodes()
    ui = widget.panel.ui
    ui.atlasVolumeSelector.setCurrentNode(labels)
    assert ui.atlasVolumeSelector.currentNode() is None
    ui.atlasLabelsSelector.setCurrentNode(atlas)
    assert ui.atlasLabelsSelector.currentNode() is None


def test_a_segmentation_may_be_the_labels(widget: Any, chosen: Nodes) -> None:
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(chosen[1], segmentation)
    widget.panel.ui.atlasLabelsSelector.setCurrentNode(segmentation)
    assert why_not(widget) == ""


def test_choices_come_back_with_a_saved_scene(widget: Any, chosen: Nodes, the_rig: Any) -> None:
    ui = widget.panel.ui
    ui.qualityComboBox.currentIndex = 2
    ui.similarityComboBox.currentIndex = 4
    ui.startComboBox.currentIndex = 1
    ui.seedSpinBox.value = 77
    bundle = str(the_rig.folder / "choices.mrb")
    assert slicer.util.saveScene(bundle)
    slicer.mrmlScene.Clear(0)
    assert ui.qualityComboBox.currentIndex == 1
    slicer.util.loadScene(bundle)
    assert [ui.qualityComboBox.currentIndex, ui.similarityComboBox.currentIndex] == [2, 4]
    assert [ui.startComboBox.currentIndex, ui.seedSpinBox.value] == [1, 77]
    assert ui.targetVolumeSelector.currentNode().GetName() == "target"
    assert why_not(widget) == ""


def test_a_script_can_set_the_choices(widget: Any, chosen: Nodes, module: Any) -> None:
    parameters = module.JointRegSegLogic().getParameterNode()
    parameters.seed = 5
    parameters.targetVolume = slicer.util.addVolumeFromArray(np.ones((4, 4, 4)), np.eye(4), "other")
    assert widget.panel.ui.seedSpinBox.value == 5
    assert widget.panel.ui.targetVolumeSelector.currentNode().GetName() == "other"
