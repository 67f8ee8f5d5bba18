"""What the user can do with a result, by clicks."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import LabelVolume, Measure, Result, Status
from JointRegSegLib.job import result as files
from JointRegSegLib.scene.views import LAYOUT
from Testing.panel.fakes import FakeJob
from Testing.rig.need import need
from Testing.scene.results import QUALITY, FinishedRun

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.clicks import click, click_cell, click_header  # noqa: E402
from Testing.rig.gui import wait_until  # noqa: E402
from Testing.rig.pythonqt import qt  # noqa: E402

pytestmark = pytest.mark.gui

Nodes = tuple[Any, Any, Any]
LABELS = (
    LabelVolume(5, "left part", 100, 11.5, 0.9, 0.02),
    LabelVolume(2, "right part", 100, 2.25, 0.6, 0.3),
    LabelVolume(300, "roof", 100, 100.0),
)


@pytest.fixture
def views(scene: Any) -> Iterator[list[Any]]:
    """Two slice views as the application has them, of the two rows; they outlive a scene, and so are removed here."""
    layout = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(3)
    made = []
    for name in ("Red", "RegRed"):
        composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
        composite.SetLayoutName(name)
        made.append(composite)
    red = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
    red.SetLayoutName("Red")
    yield made
    for node in (layout, red, *made):
        slicer.mrmlScene.RemoveNode(node)


@pytest.fixture
def finished(fake_job: FakeJob, widget: Any, views: list[Any], chosen: Nodes, a_result: Result) -> Any:
    """The panel after a run."""
    measures = (*QUALITY.measures, Measure("folding_percent", "folding", 0.3, "%", Status.BAD))
    table = dataclasses.replace(QUALITY, labels=LABELS, measures=measures)
    a_result.path(files.QUALITY_JSON).write_text(table.to_json(), encoding="utf-8")
    click(widget.panel.ui.runButton)
    fake_job.finish(a_result)
    wait_until(lambda: widget.panel.session.state.value == "finished")
    return widget.panel


def nodes_of(panel: Any) -> Any:
    return panel.session.nodes


def column(table: Any, number: int) -> list[Any]:
    return [table.item(row, number).data(0) for row in range(table.rowCount)]


def test_the_summary_says_why(finished: Any) -> None:
    assert "The result is probably wrong." in finished.ui.summaryLabel.text
    assert "turns tissue inside out" in finished.ui.summaryLabel.text
    assert "Tissue turned inside out" in finished.ui.summaryLabel.text
    assert "on CPU in" in finished.ui.summaryLabel.text
    assert "not a medical device" in finished.ui.summaryLabel.text


def test_structures_are_listed_and_sorted_by_a_click_on_a_heading(finished: Any) -> None:
    table = finished.ui.structuresTable
    assert set(column(table, 0)) == {"left part", "right part", "roof"}
    click_header(table, 1)
    once = column(table, 1)
    click_header(table, 1)
    assert sorted([once, column(table, 1)]) == [[2.25, 11.5, 100.0], [100.0, 11.5, 2.25]]
    place = column(table, 0).index("right part")
    assert [column(table, number)[place] for number in (2, 3, 4)] == [0.6, 30.0, None]


def test_a_click_on_a_structure_moves_the_slices_to_it(finished: Any) -> None:
    table = finished.ui.structuresTable
    red = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceNode")
    segmentation = slicer.mrmlScene.GetNodeByID(nodes_of(finished).segmentation)
    for name, segment in (("roof", "Segment_300"), ("left part", "Segment_5")):
        click_cell(table, column(table, 0).index(name), 0)
        at = np.array([red.GetSliceToRAS().GetElement(row, 3) for row in range(3)])
        assert np.allclose(at, segmentation.GetSegmentCenterRAS(segment), atol=1e-3)


def test_a_deleted_segmentation_is_no_trouble(finished: Any) -> None:
    nodes_of(finished).remove(slicer.mrmlScene)
    click_cell(finished.ui.structuresTable, 0, 0)
    for button in (finished.ui.compareButton, finished.ui.checkerboardButton, finished.ui.surfacesButton):
        click(button)
        click(button)
    assert finished.session.state.value == "finished"


def test_reference_labels_give_dice_by_name(finished: Any) -> None:
    nodes = nodes_of(finished)
    labels = slicer.mrmlScene.GetNodeByID(nodes.labels)
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "known")
    segmentations = slicer.modules.segmentations.logic()
    assert segmentations.ImportLabelmapToSegmentationNode(labels, reference)
    assert finished.ui.structuresTable.isColumnHidden(4)
    assert not finished.ui.structuresTable.isColumnHidden(2)
    finished.ui.referenceSelector.setCurrentNode(reference)
    assert not finished.ui.structuresTable.isColumnHidden(4)
    assert column(finished.ui.structuresTable, 4) == [1.0, 1.0, 1.0]
    reference.GetSegmentation().RemoveSegment(reference.GetSegmentation().GetSegmentIdBySegmentName("roof"))
    finished.ui.referenceSelector.setCurrentNode(None)
    assert column(finished.ui.structuresTable, 4) == [None, None, None]
    finished.ui.referenceSelector.setCurrentNode(reference)
    table = finished.ui.structuresTable
    assert dict(zip(column(table, 0), column(table, 4), strict=True)) == {
        "left part": 1.0,
        "right part": 1.0,
        "roof": 0.0,
    }


def test_target_and_atlas_are_shown_side_by_side_and_linked(finished: Any, views: list[Any], chosen: Nodes) -> None:
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    click(finished.ui.compareButton)
    assert layout.GetViewArrangement() == LAYOUT
    description = layout.GetLayoutDescription(LAYOUT)
    assert all(name in description for name in ("Red", "RegRed", "RegYellow"))
    assert [view.GetBackgroundVolumeID() for view in views] == [chosen[2].GetID(), nodes_of(finished).warped_atlas]
    assert all(view.GetLinkedControl() for view in views)
    click(finished.ui.compareButton)
    assert layout.GetViewArrangement() == 3
    assert views[0].GetForegroundVolumeID() == nodes_of(finished).warped_atlas


def test_the_slider_fades_to_the_atlas(finished: Any, views: list[Any]) -> None:
    finished.ui.fadeSlider.value = 40
    assert views[0].GetForegroundVolumeID() == nodes_of(finished).warped_atlas
    assert views[0].GetForegroundOpacity() == pytest.approx(0.4)


def test_the_checkerboard_has_squares_of_both_scans(finished: Any, views: list[Any], chosen: Nodes) -> None:
    warped = slicer.mrmlScene.GetNodeByID(nodes_of(finished).warped_atlas)
    array = slicer.util.arrayFromVolume(warped)
    array[:] = np.linspace(0, 1000, array.size).reshape(array.shape)
    target = slicer.util.arrayFromVolume(chosen[2])
    target[:] = np.linspace(1, 0, target.size).reshape(target.shape)
    click(finished.ui.checkerboardButton)
    board = slicer.mrmlScene.GetNodeByID(views[0].GetForegroundVolumeID())
    shown = slicer.util.arrayFromVolume(board).astype(float)
    assert shown.shape == array.shape
    assert {bool(shown[0, 0, 0] > 200), bool(shown[0, 0, 5] > 200)} == {True, False}
    click(finished.ui.checkerboardButton)
    assert views[0].GetForegroundVolumeID() == warped.GetID()
    before = slicer.mrmlScene.GetNumberOfNodes()
    click(finished.ui.checkerboardButton)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_the_folder_of_the_result_is_opened(finished: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", staticmethod(lambda url: opened.append(url.toLocalFile())))
    click(finished.ui.openFolderButton)
    assert opened == [str(finished.session.result.folder)]


def test_surfaces_are_made_when_they_are_asked_for(finished: Any) -> None:
    segmentation = slicer.mrmlScene.GetNodeByID(nodes_of(finished).segmentation)
    assert not segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    click(finished.ui.surfacesButton)
    assert segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    assert segmentation.GetDisplayNode().GetVisibility3D()
    click(finished.ui.surfacesButton)
    assert not segmentation.GetDisplayNode().GetVisibility3D()


def test_points_of_the_atlas_are_carried_to_the_target_and_back(finished: Any, the_run: FinishedRun) -> None:
    ui = finished.ui
    flip = np.array([-1.0, -1.0, 1.0])
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "entry")
    at = np.array([3.0, -2.0, 40.0])
    node.AddControlPoint(*(at * flip))
    assert not ui.applyButton.enabled
    ui.applyNodeSelector.setCurrentNode(node)
    click(ui.applyButton)
    there = slicer.util.arrayFromMarkupsControlPoints(_newest("vtkMRMLMarkupsFiducialNode"))[0] * flip
    assert np.allclose(there, the_run.to_target(at[None])[0], atol=0.05)
    assert np.allclose(slicer.util.arrayFromMarkupsControlPoints(node)[0] * flip, at)
    ui.applyNodeSelector.setCurrentNode(_newest("vtkMRMLMarkupsFiducialNode"))
    ui.applyDirectionComboBox.currentIndex = 1
    click(ui.applyButton)
    back = slicer.util.arrayFromMarkupsControlPoints(_newest("vtkMRMLMarkupsFiducialNode"))[0] * flip
    assert np.allclose(back, at, atol=0.1)


def test_labels_of_the_target_are_carried_to_the_atlas(finished: Any, chosen: Nodes) -> None:
    """What is carried there lies where the atlas's labels came from, on the atlas's grid, with names and colors."""
    ui, nodes = finished.ui, nodes_of(finished)
    ui.applyNodeSelector.setCurrentNode(slicer.mrmlScene.GetNodeByID(nodes.segmentation))
    ui.applyDirectionComboBox.currentIndex = 1
    click(ui.applyButton)
    made = _newest("vtkMRMLSegmentationNode")
    names = [made.GetSegmentation().GetSegment(i).GetName() for i in made.GetSegmentation().GetSegmentIDs()]
    assert sorted(names) == ["left part", "right part", "roof"]
    ui.applyNodeSelector.setCurrentNode(made)
    ui.applyDirectionComboBox.currentIndex = 0
    click(ui.applyButton)
    again = _newest("vtkMRMLSegmentationNode")
    ui.referenceSelector.setCurrentNode(again)
    assert min(column(ui.structuresTable, 4)) > 0.85


def _newest(kind: str) -> Any:
    scene = slicer.mrmlScene
    return scene.GetNthNodeByClass(scene.GetNumberOfNodesByClass(kind) - 1, kind)
