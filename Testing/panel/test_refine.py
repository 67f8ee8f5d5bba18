"""Structures corrected by hand go into a run that begins where the last one ended; found by clicks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError, Result
from JointRegSegLib.volumes import read_label_map
from Testing.panel.fakes import FakeJob
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.clicks import click  # noqa: E402
from Testing.rig.gui import wait_until  # noqa: E402

pytestmark = pytest.mark.gui

Nodes = tuple[Any, Any, Any]


@pytest.fixture
def finished(jobs: list[FakeJob], widget: Any, chosen: Nodes, a_result: Result) -> Any:
    """The panel after a run."""
    assert not widget.panel.ui.refineButton.enabled
    click(widget.panel.ui.runButton)
    jobs[0].finish(a_result)
    wait_until(lambda: widget.panel.session.state.value == "finished")
    return widget.panel


def segment_array(panel: Any, segment: str) -> Any:
    nodes = panel.session.nodes
    scene = slicer.mrmlScene
    reference = scene.GetNodeByID(nodes.labels)
    return slicer.util.arrayFromSegmentBinaryLabelmap(scene.GetNodeByID(nodes.segmentation), segment, reference)


def edit(panel: Any, segment: str, array: Any) -> None:
    """What the Segment Editor does to a segment; those that share voxels get layers of their own."""
    nodes = panel.session.nodes
    scene = slicer.mrmlScene
    reference = scene.GetNodeByID(nodes.labels)
    node = scene.GetNodeByID(nodes.segmentation)
    slicer.util.updateSegmentBinaryLabelmapFromArray(array.astype(np.uint8), node, segment, reference)


def test_nothing_changed_is_said_and_starts_nothing(finished: Any, jobs: list[FakeJob]) -> None:
    click(finished.ui.findChangesButton)
    assert finished.ui.refineLabel.text == "No structure was changed since the run."
    click(finished.ui.refineButton)
    assert len(jobs) == 1


def test_an_edited_structure_is_found_written_and_kept(finished: Any, jobs: list[FakeJob], a_result: Result) -> None:
    """Left grows into the background and into right, which by that alone is not corrected."""
    left, right = segment_array(finished, "Segment_5"), segment_array(finished, "Segment_2")
    bigger = left.copy()
    bigger[2:-2, 2:-2, 2:-2] |= left[2:-2, 2:-2, :-4]
    bigger[right.astype(bool) & (np.arange(right.shape[2]) > 17)] = 1
    edit(finished, "Segment_5", bigger)
    click(finished.ui.findChangesButton)
    assert finished.ui.refineLabel.text == "Changed since the run: left part."
    click(finished.ui.refineButton)
    request = jobs[1].request
    assert request is not None
    assert request.corrected == (5,)
    assert request.continue_from == a_result.folder
    assert request.corrections is not None
    written = read_label_map(request.corrections)
    assert np.array_equal(written.array == 5, bigger.astype(bool))
    assert not np.any((written.array == 2) & bigger.astype(bool))
    assert written.table[5].name == "left part"


def test_erasing_and_removing_are_corrections(finished: Any, jobs: list[FakeJob]) -> None:
    less = segment_array(finished, "Segment_2").copy()
    less[:12] = 0
    edit(finished, "Segment_2", less)
    node = slicer.mrmlScene.GetNodeByID(finished.session.nodes.segmentation)
    node.GetSegmentation().RemoveSegment("Segment_300")
    click(finished.ui.refineButton)
    assert jobs[1].request is not None
    assert jobs[1].request.corrected == (2, 300)


def test_a_segment_of_the_users_own_is_left_out_and_said(finished: Any, jobs: list[FakeJob]) -> None:
    node = slicer.mrmlScene.GetNodeByID(finished.session.nodes.segmentation)
    own = node.GetSegmentation().AddEmptySegment("tumor", "tumor")
    edit(finished, own, np.ones_like(segment_array(finished, "Segment_5")))
    click(finished.ui.refineButton)
    assert finished.ui.refineLabel.text == (
        "No structure was changed since the run. Not known to the atlas, and so left out: “tumor”."
    )
    assert len(jobs) == 1


def test_corrected_structures_must_not_share_voxels(finished: Any, jobs: list[FakeJob], errors: list[str]) -> None:
    """Two that were both painted over the same background, in layers of their own."""
    ball = np.zeros_like(segment_array(finished, "Segment_5"))
    ball[1:4, 1:4, 1:4] = 1
    for segment in ("Segment_5", "Segment_2"):
        node = slicer.mrmlScene.GetNodeByID(finished.session.nodes.segmentation)
        node.GetSegmentation().SeparateSegmentLabelmap(segment)
        edit(finished, segment, segment_array(finished, segment) | ball)
    click(finished.ui.refineButton)
    assert len(jobs) == 1
    assert "overlap" in errors[0]


def test_the_refined_result_takes_the_place_of_the_first(
    finished: Any, jobs: list[FakeJob], a_result: Result, tmp_path: Path
) -> None:
    first = slicer.mrmlScene.GetNodeByID(finished.session.nodes.segmentation)
    edit(finished, "Segment_5", 0 * segment_array(finished, "Segment_5"))
    click(finished.ui.refineButton)
    assert a_result.folder.is_dir()
    assert not finished.ui.refineButton.enabled
    refined = Result(Path(shutil.copytree(a_result.folder, tmp_path / "refined")))
    jobs[1].finish(refined)
    wait_until(lambda: finished.session.state.value == "finished")
    second = slicer.mrmlScene.GetNodeByID(finished.session.nodes.segmentation)
    assert second is not first
    assert second.GetName() == "target refined segmentation"
    assert not first.GetDisplayNode().GetVisibility()
    assert second.GetDisplayNode().GetVisibility()
    assert finished.ui.refineButton.enabled


def test_a_refinement_that_fails_leaves_the_first_result(finished: Any, jobs: list[FakeJob], errors: list[str]) -> None:
    first = slicer.mrmlScene.GetNodeByID(finished.session.nodes.segmentation)
    edit(finished, "Segment_5", 0 * segment_array(finished, "Segment_5"))
    click(finished.ui.refineButton)
    jobs[1].fail(JobError(Code.OUT_OF_MEMORY, "No memory.", ""))
    wait_until(lambda: len(errors) == 1)
    assert first.GetDisplayNode().GetVisibility()
    assert "Only half of the target" in finished.ui.summaryLabel.text
    click(finished.ui.refineButton)
    jobs[2].stop()
    wait_until(lambda: bool(finished.ui.refineButton.enabled))
    click(finished.ui.refineButton)
    assert len(jobs) == 4
    assert jobs[3].request is not None
    assert jobs[3].request.corrected == (5,)


def test_refine_goes_on_with_the_scans_of_the_result_whatever_is_chosen_by_now(
    finished: Any, jobs: list[FakeJob], chosen: Nodes, make_nodes: Callable[[], Nodes]
) -> None:
    target = make_nodes()[2]
    slicer.util.updateVolumeFromArray(target, slicer.util.arrayFromVolume(target) + 1)
    target.SetName("another")
    ui = finished.ui
    ui.targetVolumeSelector.setCurrentNode(target)
    assert ui.refineLabel.text.endswith("Refine goes on with those of this result, “atlas” and “target”.")
    edit(finished, "Segment_5", 0 * segment_array(finished, "Segment_5"))
    click(ui.refineButton)
    request = jobs[1].request
    assert request is not None
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(request.target)))
    assert np.array_equal(written, slicer.util.arrayFromVolume(chosen[2]))
    jobs[1].stop()
    wait_until(lambda: bool(ui.refineButton.enabled))
    ui.targetVolumeSelector.setCurrentNode(chosen[2])
    assert "Other scans" not in ui.refineLabel.text


def test_refine_without_the_scans_of_the_result_is_refused(finished: Any, jobs: list[FakeJob], chosen: Nodes) -> None:
    edit(finished, "Segment_5", 0 * segment_array(finished, "Segment_5"))
    slicer.mrmlScene.RemoveNode(chosen[0])
    click(finished.ui.refineButton)
    assert len(jobs) == 1
    assert "“atlas” was deleted" in finished.ui.refineLabel.text


@pytest.mark.usefixtures("chosen")
def test_refine_needs_no_start(jobs: list[FakeJob], widget: Any, a_result: Result) -> None:
    start = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "rough")
    widget.panel.ui.startComboBox.currentIndex = 2
    widget.panel.ui.startTransformSelector.setCurrentNode(start)
    click(widget.panel.ui.runButton)
    jobs[0].finish(a_result)
    wait_until(lambda: widget.panel.session.state.value == "finished")
    assert jobs[0].request is not None
    assert jobs[0].request.start.endswith("start.tfm")
    slicer.mrmlScene.RemoveNode(start)
    edit(widget.panel, "Segment_5", 0 * segment_array(widget.panel, "Segment_5"))
    click(widget.panel.ui.refineButton)
    assert jobs[1].request is not None
    assert jobs[1].request.start == "auto"


def test_a_segmentation_under_a_transform_is_refused(finished: Any, jobs: list[FakeJob], errors: list[str]) -> None:
    node = slicer.mrmlScene.GetNodeByID(finished.session.nodes.segmentation)
    node.SetAndObserveTransformNodeID(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode").GetID())
    click(finished.ui.refineButton)
    assert "is under a transform" in errors[0]
    slicer.mrmlScene.RemoveNode(node)
    click(finished.ui.refineButton)
    assert "was deleted" in errors[1]


def test_closing_the_module_removes_the_files_of_both_runs(
    finished: Any, widget: Any, jobs: list[FakeJob], a_result: Result
) -> None:
    folders = [jobs[0].request.output.parent] if jobs[0].request else []
    edit(finished, "Segment_5", 0 * segment_array(finished, "Segment_5"))
    click(finished.ui.refineButton)
    folders += [jobs[1].request.output.parent] if jobs[1].request else []
    jobs[1].stop()
    assert [folder.exists() for folder in folders] == [True, True]
    widget.cleanup()
    assert [folder.exists() for folder in folders] == [False, False]
