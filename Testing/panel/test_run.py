"""A run through the panel's buttons: what is shown and what happens to the scene, whatever the worker does."""

from __future__ import annotations

from typing import Any

import pytest

from JointRegSegLib.job import Code, JobError, Quality, Result
from JointRegSegLib.job.result import FIELD_INVERSE
from JointRegSegLib.volumes import read_field, read_mask, write_field
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
def running(fake_job: FakeJob, widget: Any, chosen: Nodes) -> FakeJob:
    """A run that was started by clicking Run."""
    click(widget.panel.ui.runButton)
    assert fake_job.request is not None
    return fake_job


def state(widget: Any) -> str:
    return widget.panel.session.state.value


def number_of_nodes() -> int:
    return slicer.mrmlScene.GetNumberOfNodes()


def test_the_request_holds_what_the_panel_shows(fake_job: FakeJob, widget: Any, chosen: Nodes) -> None:
    widget.panel.ui.qualityComboBox.currentIndex = 0
    widget.panel.ui.seedSpinBox.value = 11
    click(widget.panel.ui.runButton)
    assert fake_job.request is not None
    assert fake_job.request.quality is Quality.FAST
    assert fake_job.request.seed == 11
    assert fake_job.request.target.is_file()


def test_masks_and_regions_of_interest_go_with_the_run(fake_job: FakeJob, widget: Any, chosen: Nodes) -> None:
    mask = slicer.modules.volumes.logic().CreateAndAddLabelVolume(slicer.mrmlScene, chosen[0], "mask")
    slicer.util.arrayFromVolume(mask)[4:9, 4:9, 4:9] = 1
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region")
    bounds = [0.0] * 6
    chosen[2].GetRASBounds(bounds)
    region.SetCenter(*((low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)))
    region.SetSize(20.0, 20.0, 20.0)
    widget.panel.ui.atlasMaskSelector.setCurrentNode(mask)
    widget.panel.ui.targetMaskSelector.setCurrentNode(region)
    click(widget.panel.ui.runButton)
    request = fake_job.request
    assert request is not None
    assert request.target_mask is not None
    assert request.atlases[0].mask is not None
    assert read_mask(request.atlases[0].mask).array.sum() == 5**3
    assert 0 < read_mask(request.target_mask).array.mean() < 1


def test_progress_is_shown_in_words_and_on_the_bar(running: FakeJob, widget: Any) -> None:
    running.say("register", 0.42, eta_seconds=130)
    wait_until(lambda: widget.panel.ui.progressBar.value == 420)
    assert widget.panel.ui.statusLabel.text == "Registering (42 %), about 2 min left"
    assert not widget.panel.ui.runButton.enabled
    assert widget.panel.ui.cancelButton.enabled


def test_a_finished_run_puts_its_nodes_into_the_scene(running: FakeJob, widget: Any, a_result: Result) -> None:
    running.finish(a_result)
    wait_until(lambda: state(widget) == "finished")
    nodes = widget.panel.session.nodes
    assert slicer.mrmlScene.GetNodeByID(nodes.segmentation).GetSegmentation().GetNumberOfSegments() == 3
    assert "Only half of the target is covered." in widget.panel.ui.summaryLabel.text
    assert widget.panel.ui.progressBar.value == widget.panel.ui.progressBar.maximum
    assert widget.panel.ui.runButton.enabled


def test_the_grid_can_be_shown_and_hidden(running: FakeJob, widget: Any, a_result: Result) -> None:
    running.finish(a_result)
    wait_until(lambda: state(widget) == "finished")
    display = slicer.mrmlScene.GetNodeByID(widget.panel.session.nodes.deformation).GetDisplayNode()
    click(widget.panel.ui.gridButton)
    assert display.GetVisibility2D()
    click(widget.panel.ui.gridButton)
    assert not display.GetVisibility2D()


def test_the_jacobian_is_shown_over_the_target(running: FakeJob, widget: Any, a_result: Result) -> None:
    views = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    running.finish(a_result)
    wait_until(lambda: state(widget) == "finished")
    click(widget.panel.ui.jacobianButton)
    assert views.GetForegroundVolumeID() == widget.panel.session.nodes.jacobian
    click(widget.panel.ui.jacobianButton)
    assert views.GetForegroundVolumeID() == widget.panel.session.nodes.warped_atlas
    assert views.GetForegroundOpacity() == 0


def test_result_nodes_may_be_deleted_before_they_are_shown(running: FakeJob, widget: Any, a_result: Result) -> None:
    running.finish(a_result)
    wait_until(lambda: state(widget) == "finished")
    widget.panel.session.nodes.remove(slicer.mrmlScene)
    click(widget.panel.ui.gridButton)
    click(widget.panel.ui.jacobianButton)
    assert state(widget) == "finished"


def test_cancel_leaves_the_scene_as_it_was(running: FakeJob, widget: Any) -> None:
    before = number_of_nodes()
    click(widget.panel.ui.cancelButton)
    assert running.cancelled
    assert state(widget) == "cancelling"
    assert not widget.panel.ui.cancelButton.enabled
    running.stop()
    wait_until(lambda: state(widget) == "cancelled")
    assert number_of_nodes() == before
    assert widget.panel.ui.runButton.enabled
    assert widget.panel.ui.progressBar.value == 0


def test_a_result_that_comes_after_cancel_is_dropped(running: FakeJob, widget: Any, a_result: Result) -> None:
    before = number_of_nodes()
    click(widget.panel.ui.cancelButton)
    running.finish(a_result)
    wait_until(lambda: state(widget) == "cancelled")
    assert number_of_nodes() == before


def test_a_failure_is_told_with_its_advice(running: FakeJob, widget: Any, errors: list[str]) -> None:
    running.fail(JobError(Code.OUT_OF_MEMORY, "The run needs 9 GB.", "Choose the quality fast."))
    wait_until(lambda: state(widget) == "failed")
    assert errors == ["The run needs 9 GB.\n\nChoose the quality fast."]
    assert widget.panel.ui.statusLabel.text == "The run needs 9 GB. Choose the quality fast."
    assert widget.panel.ui.runButton.enabled


def test_a_failure_of_our_own_shows_no_traceback(running: FakeJob, widget: Any, errors: list[str]) -> None:
    running.drain = lambda: [][0]  # type: ignore[method-assign]
    wait_until(lambda: state(widget) == "failed")
    assert len(errors) == 1
    assert "Traceback" not in errors[0]


def test_a_damaged_result_leaves_the_scene_as_it_was(
    running: FakeJob, widget: Any, a_result: Result, errors: list[str]
) -> None:
    (a_result.folder / "field.nrrd").write_bytes(b"no field")
    before = number_of_nodes()
    running.finish(a_result)
    wait_until(lambda: state(widget) == "failed")
    assert number_of_nodes() == before
    assert widget.panel.session.error.code is Code.RESULT_INVALID


def test_a_result_on_another_grid_is_refused(
    running: FakeJob, widget: Any, a_result: Result, errors: list[str]
) -> None:
    inverse, grid = read_field(a_result.path(FIELD_INVERSE))
    write_field(a_result.path(FIELD_INVERSE), inverse[1:], grid.box((0, 0, 0), (44, 40, 37)))
    running.finish(a_result)
    wait_until(lambda: state(widget) == "failed")
    assert "not on the atlas's grid" in errors[0]


def test_closing_the_scene_cancels(running: FakeJob, widget: Any, a_result: Result) -> None:
    slicer.mrmlScene.Clear(0)
    assert running.cancelled
    running.finish(a_result)
    wait_until(lambda: state(widget) == "cancelled")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert not widget.panel.ui.runButton.enabled


def test_inputs_may_be_deleted_while_the_run_goes_on(
    running: FakeJob, widget: Any, chosen: Nodes, a_result: Result
) -> None:
    for node in chosen:
        slicer.mrmlScene.RemoveNode(node)
    running.say("register", 0.5)
    running.finish(a_result)
    wait_until(lambda: state(widget) == "finished")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert not widget.panel.ui.runButton.enabled


def test_another_module_may_be_opened_meanwhile(running: FakeJob, widget: Any, a_result: Result) -> None:
    widget.parent.hide()
    running.finish(a_result)
    wait_until(lambda: state(widget) == "finished")
    widget.enter()
    assert widget.panel.ui.statusLabel.text == "Finished."


def test_closing_the_panel_cancels_and_stops_watching(running: FakeJob, widget: Any) -> None:
    panel, folder = widget.panel, running.request.output.parent if running.request else None
    running.stop()
    widget.cleanup()
    assert running.cancelled
    assert not panel.Observations
    assert folder is not None
    assert not folder.exists()


def test_a_second_run_starts_afresh(running: FakeJob, widget: Any, a_result: Result) -> None:
    running.finish(a_result)
    wait_until(lambda: state(widget) == "finished")
    running.__init__()  # type: ignore[misc]
    click(widget.panel.ui.runButton)
    assert state(widget) == "running"
    assert widget.panel.ui.summaryLabel.text == "No run yet."
    running.say("align", 0.1)
    wait_until(lambda: widget.panel.ui.progressBar.value == 100)


def test_no_exported_scan_is_left_after_cancel(running: FakeJob, widget: Any) -> None:
    assert running.request is not None
    folder = running.request.output.parent
    assert any(folder.rglob("*.nrrd"))
    click(widget.panel.ui.cancelButton)
    running.stop()
    wait_until(lambda: state(widget) == "cancelled")
    assert not folder.exists()
