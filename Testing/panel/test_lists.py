"""Several atlases, several targets and landmarks, by clicks; each target has its own fate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import Code, JobError, LandmarkUse, Result
from JointRegSegLib.job.fusion import Fusion
from JointRegSegLib.job.result import MANIFEST
from Testing.panel.fakes import FakeJob
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.clicks import click, click_cell  # noqa: E402
from Testing.rig.gui import wait_until  # noqa: E402
from Testing.rig.pythonqt import qt  # noqa: E402

pytestmark = pytest.mark.gui

Nodes = tuple[Any, Any, Any]


@pytest.fixture
def three_targets(widget: Any, chosen: Nodes, make_nodes: Callable[[], Nodes]) -> list[Any]:
    """Three targets in the list, added by clicks."""
    targets = [chosen[2]]
    for number in (2, 3):
        target = make_nodes()[2]
        target.SetName(f"target {number}")
        targets.append(target)
    ui = widget.panel.ui
    for target in targets:
        ui.targetVolumeSelector.setCurrentNode(target)
        click(ui.addTargetButton)
    return targets


def cells(table: Any) -> list[list[str]]:
    return [[table.item(row, c).text() for c in range(table.columnCount)] for row in range(table.rowCount)]


def answer_files(monkeypatch: pytest.MonkeyPatch, *names: Path | str) -> None:
    """What the user picks in the next file dialogs."""
    left = [str(name) for name in names]
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *arguments: left.pop(0)))


def points(name: str, *places: tuple[float, float, float]) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    for number, place in enumerate(places, 1):
        node.AddControlPoint(place, f"p{number}")
    return node


def test_targets_run_one_after_the_other_and_a_failure_stops_none(
    jobs: list[FakeJob], widget: Any, three_targets: list[Any], a_result: Result, errors: list[str]
) -> None:
    ui = widget.panel.ui
    assert [row[0] for row in cells(ui.targetTable)] == ["target", "target 2", "target 3"]
    click(ui.runButton)
    assert len(jobs) == 1
    assert [row[1] for row in cells(ui.targetTable)] == ["Starting...", "Waiting", "Waiting"]
    jobs[0].fail(JobError(Code.IMAGE_EMPTY, "The image is constant.", "Give another."))
    wait_until(lambda: len(jobs) == 2)
    assert "constant" in cells(ui.targetTable)[0][1]
    jobs[1].say("register", 0.5)
    wait_until(lambda: "50 %" in cells(ui.targetTable)[1][1])
    assert ui.statusLabel.text.startswith("Target 2 of 3: Registering")
    assert ui.progressBar.value == 500
    jobs[1].finish(a_result)
    wait_until(lambda: len(jobs) == 3)
    jobs[2].fail(JobError(Code.OUT_OF_MEMORY, "No memory.", ""))
    wait_until(lambda: bool(ui.runButton.enabled))
    assert [row[1] for row in cells(ui.targetTable)] == [
        "Failed: The image is constant. Give another.",
        "Finished",
        "Failed: No memory.",
    ]
    assert ui.statusLabel.text.startswith("1 of 3 targets are finished, 2 failed")
    assert errors == []
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1


def test_a_click_on_a_target_shows_its_result(
    jobs: list[FakeJob], widget: Any, three_targets: list[Any], a_result: Result
) -> None:
    ui = widget.panel.ui
    click(ui.runButton)
    jobs[0].finish(a_result)
    wait_until(lambda: len(jobs) == 2)
    jobs[1].fail(JobError(Code.OUT_OF_MEMORY, "No memory.", ""))
    wait_until(lambda: len(jobs) == 3)
    assert "gave no result" in ui.summaryLabel.text
    click_cell(ui.targetTable, 0, 0)
    assert "Only half of the target" in ui.summaryLabel.text
    click_cell(ui.targetTable, 2, 0)
    assert "Only half of the target" in ui.summaryLabel.text


def test_a_target_that_is_added_later_is_not_taken_for_one_that_ran(
    jobs: list[FakeJob], widget: Any, chosen: Nodes, a_result: Result, the_rig: Any
) -> None:
    ui = widget.panel.ui
    click(ui.addTargetButton)
    bundle = str(the_rig.folder / "before.mrb")
    assert slicer.util.saveScene(bundle)
    click(ui.runButton)
    jobs[0].finish(a_result)
    wait_until(lambda: cells(ui.targetTable) == [["target", "Finished"]])
    click_cell(ui.targetTable, 0, 0)
    click(ui.removeTargetButton)
    click(ui.addTargetButton)
    assert cells(ui.targetTable) == [["target", ""]]
    slicer.mrmlScene.Clear(0)
    slicer.util.loadScene(bundle)
    assert cells(ui.targetTable) == [["target", ""]]


def test_cancel_ends_the_whole_queue(jobs: list[FakeJob], widget: Any, three_targets: list[Any]) -> None:
    ui = widget.panel.ui
    click(ui.runButton)
    click(ui.cancelButton)
    jobs[0].stop()
    wait_until(lambda: bool(ui.runButton.enabled))
    assert len(jobs) == 1
    assert [row[1] for row in cells(ui.targetTable)] == ["Cancelled", "Waiting", "Waiting"]


def test_closing_the_scene_ends_the_whole_queue(jobs: list[FakeJob], widget: Any, three_targets: list[Any]) -> None:
    click(widget.panel.ui.runButton)
    slicer.mrmlScene.Clear(0)
    assert jobs[0].cancelled
    jobs[0].stop()
    wait_until(lambda: not widget.panel.run_section.is_active)
    assert len(jobs) == 1
    assert cells(widget.panel.ui.targetTable) == []


def test_a_target_deleted_before_its_turn_fails_alone(
    jobs: list[FakeJob], widget: Any, three_targets: list[Any], a_result: Result
) -> None:
    click(widget.panel.ui.runButton)
    slicer.mrmlScene.RemoveNode(three_targets[1])
    jobs[0].finish(a_result)
    wait_until(lambda: len(jobs) == 2)
    states = [turn.state.value for turn in widget.panel.run_section.queue.turns]
    assert states == ["finished", "failed", "running"]
    assert cells(widget.panel.ui.targetTable)[1][1] == "Failed: “target 2” was deleted before its turn. Load it again."


def test_an_atlas_deleted_before_the_next_target_fails_the_rest_in_words(
    jobs: list[FakeJob], widget: Any, chosen: Nodes, three_targets: list[Any], a_result: Result
) -> None:
    click(widget.panel.ui.runButton)
    slicer.mrmlScene.RemoveNode(chosen[1])
    jobs[0].finish(a_result)
    wait_until(lambda: not widget.panel.run_section.is_active)
    assert [turn.state.value for turn in widget.panel.run_section.queue.turns] == ["finished", "failed", "failed"]
    assert "“labels” was deleted" in cells(widget.panel.ui.targetTable)[1][1]


def test_targets_cannot_be_removed_while_they_run(jobs: list[FakeJob], widget: Any, three_targets: list[Any]) -> None:
    ui = widget.panel.ui
    click_cell(ui.targetTable, 1, 0)
    click(ui.runButton)
    assert not ui.removeTargetButton.enabled
    jobs[0].stop()
    wait_until(lambda: bool(ui.removeTargetButton.enabled))
    click_cell(ui.targetTable, 1, 0)
    click(ui.removeTargetButton)
    assert [row[0] for row in cells(ui.targetTable)] == ["target", "target 3"]


def test_atlases_come_from_scene_files_and_a_library(
    widget: Any, chosen: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from JointRegSegLib.library.create import Plan, create
    from JointRegSegLib.phantom import write_pair

    ui = widget.panel.ui
    click(ui.addAtlasButton)
    assert cells(ui.atlasTable) == [["atlas", "labels", ""]]
    files = write_pair(tmp_path / "pair", size=24)
    answer_files(monkeypatch, files.atlas, files.atlas_labels)
    click(ui.addAtlasFilesButton)
    assert cells(ui.atlasTable)[1][:2] == [files.atlas.name, files.atlas_labels.name]
    scans = tmp_path / "scans"
    scans.mkdir()
    for number in (1, 2):
        pair = write_pair(tmp_path / str(number), seed=number, size=24)
        (scans / f"{number}.nii.gz").write_bytes(pair.atlas.read_bytes())
        (scans / f"{number}_labels.nii.gz").write_bytes(pair.atlas_labels.read_bytes())
    create(Plan(scans, tmp_path / "library"))
    answer_files(monkeypatch, tmp_path / "library" / "library.json")
    click(ui.addLibraryButton)
    wait_until(lambda: ui.atlasTable.rowCount == 4)
    assert "the atlases of the list (4)" in ui.listsLabel.text
    click_cell(ui.atlasTable, 1, 0)
    click(ui.removeAtlasButton)
    assert [row[0] for row in cells(ui.atlasTable)] == ["atlas", "1", "2"]


def test_a_folder_that_is_no_library_is_refused(
    widget: Any, chosen: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[str]
) -> None:
    (tmp_path / "library.json").write_text("{}")
    answer_files(monkeypatch, tmp_path / "library.json")
    click(widget.panel.ui.addLibraryButton)
    wait_until(lambda: len(errors) == 1)
    assert "cannot be used" in errors[0]


def test_a_dialog_that_was_closed_adds_nothing(widget: Any, chosen: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_files(monkeypatch, "", "scan.nii", "")
    click(widget.panel.ui.addAtlasFilesButton)
    click(widget.panel.ui.addAtlasFilesButton)
    assert cells(widget.panel.ui.atlasTable) == []


def test_an_atlas_of_files_is_not_loaded_but_named(
    jobs: list[FakeJob], widget: Any, chosen: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from JointRegSegLib.phantom import write_pair

    files = write_pair(tmp_path, size=24)
    answer_files(monkeypatch, files.atlas, files.atlas_labels)
    click(widget.panel.ui.addAtlasFilesButton)
    before = slicer.mrmlScene.GetNumberOfNodes()
    click(widget.panel.ui.runButton)
    request = jobs[0].request
    assert request is not None
    assert [(atlas.image, atlas.labels) for atlas in request.atlases] == [(files.atlas, files.atlas_labels)]
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_several_atlases_are_fused_as_chosen(
    jobs: list[FakeJob], widget: Any, chosen: Nodes, make_nodes: Callable[[], Nodes], a_result: Result
) -> None:
    ui = widget.panel.ui
    assert not ui.fusionComboBox.enabled
    click(ui.addAtlasButton)
    second = make_nodes()
    ui.atlasVolumeSelector.setCurrentNode(second[0])
    ui.atlasLabelsSelector.setCurrentNode(second[1])
    click(ui.addAtlasButton)
    ui.fusionComboBox.currentIndex = 3
    ui.mostAtlasesSpinBox.value = 1
    click(ui.runButton)
    request = jobs[0].request
    assert request is not None
    assert len({atlas.image for atlas in request.atlases}) == 2
    assert all(atlas.image.is_file() and atlas.labels.is_file() for atlas in request.atlases)
    assert request.fusion is Fusion.JOINT
    assert request.most_atlases == 1
    manifest = a_result.path(MANIFEST)
    manifest.write_text(json.dumps({**a_result.manifest, "most_alike": "atlas 2"}), encoding="utf-8")
    jobs[0].finish(a_result)
    wait_until(lambda: bool(ui.runButton.enabled))
    transform = slicer.mrmlScene.GetNodeByID(widget.panel.session.nodes.atlas_to_target)
    assert transform.GetNodeReference(transform.GetMovingNodeReferenceRole()) is second[0]


def test_a_deleted_atlas_is_named_in_the_list_and_stops_run(widget: Any, chosen: Nodes) -> None:
    ui = widget.panel.ui
    click(ui.addAtlasButton)
    ui.atlasVolumeSelector.setCurrentNode(None)
    assert ui.runButton.enabled
    slicer.mrmlScene.RemoveNode(chosen[0])
    assert "deleted" in cells(ui.atlasTable)[0][0]
    assert not ui.runButton.enabled


def test_lists_come_back_with_a_saved_scene(
    widget: Any, three_targets: list[Any], the_rig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ui = widget.panel.ui
    click(ui.addAtlasButton)
    answer_files(monkeypatch, tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    click(ui.addAtlasFilesButton)
    before = cells(ui.atlasTable), cells(ui.targetTable)
    bundle = str(the_rig.folder / "lists.mrb")
    assert slicer.util.saveScene(bundle)
    slicer.mrmlScene.Clear(0)
    assert (cells(ui.atlasTable), cells(ui.targetTable)) == ([], [])
    slicer.util.loadScene(bundle)
    assert (cells(ui.atlasTable), cells(ui.targetTable)) == before


def test_landmarks_travel_in_lps_with_their_names(jobs: list[FakeJob], widget: Any, chosen: Nodes) -> None:
    ui = widget.panel.ui
    assert not ui.landmarkUseComboBox.enabled
    ui.targetPointsSelector.setCurrentNode(points("T", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)))
    assert "points of each atlas" in ui.runButton.toolTip
    ui.atlasPointsSelector.setCurrentNode(points("A", (-1.0, -2.0, 3.0), (0.0, 0.0, 9.0)))
    ui.landmarkUseComboBox.currentIndex = 1
    click(ui.runButton)
    request = jobs[0].request
    assert request is not None
    assert request.landmark_use is LandmarkUse.CHECK
    assert request.landmarks is not None
    assert request.atlases[0].landmarks is not None
    from JointRegSegLib.volumes.points import read_points

    target, atlas = read_points(request.landmarks), read_points(request.atlases[0].landmarks)
    assert target.labels == atlas.labels == ("p1", "p2")
    assert np.allclose(target.lps, [[-1, -2, 3], [-4, -5, 6]])
    assert np.allclose(atlas.lps, [[1, 2, 3], [0, 0, 9]])


def test_points_are_where_their_transform_places_them(jobs: list[FakeJob], widget: Any, chosen: Nodes) -> None:
    ui = widget.panel.ui
    moved = points("T", (0.0, 0.0, 0.0))
    shift = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 7.0
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    moved.SetAndObserveTransformNodeID(shift.GetID())
    ui.targetPointsSelector.setCurrentNode(moved)
    ui.atlasPointsSelector.setCurrentNode(points("A", (0.0, 0.0, 0.0)))
    click(ui.runButton)
    assert jobs[0].request is not None
    assert jobs[0].request.landmarks is not None
    text = json.loads(jobs[0].request.landmarks.read_text(encoding="utf-8"))
    assert text["markups"][0]["controlPoints"][0]["position"] == [-7.0, 0.0, 0.0]


def test_an_empty_list_of_points_is_named(widget: Any, chosen: Nodes) -> None:
    ui = widget.panel.ui
    ui.targetPointsSelector.setCurrentNode(points("T", (0.0, 0.0, 0.0)))
    ui.atlasPointsSelector.setCurrentNode(points("empty ones"))
    assert ui.runButton.toolTip.startswith("empty ones has no points")
