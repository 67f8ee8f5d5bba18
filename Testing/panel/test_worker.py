"""The panel with a worker process; where the test is about the process, with a toy in place of the pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import Code, Request
from JointRegSegLib.service import client
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.clicks import click  # noqa: E402
from Testing.rig.gui import wait_until  # noqa: E402

pytestmark = pytest.mark.gui

TOY = "Testing.engine.toy_worker"
Nodes = tuple[Any, Any, Any]
StartToy = Callable[[str], list[client.Job]]


@pytest.fixture
def toy(module: Any, monkeypatch: pytest.MonkeyPatch) -> StartToy:
    """Makes every run a real process that behaves as named; returns the list of the jobs started."""
    real_start = client.start

    def behave(action: str) -> list[client.Job]:
        jobs: list[client.Job] = []

        def start(request: Request, python: str | None = None, work_folder: Path | None = None) -> client.Job:
            named = dataclasses.replace(request, target=request.target.with_name(action))
            jobs.append(real_start(named, work_folder=work_folder, module=TOY))
            return jobs[-1]

        monkeypatch.setattr("JointRegSegLib.panel.run_session.client.start", start)
        return jobs

    return behave


def state(widget: Any) -> str:
    return widget.panel.session.state.value


def is_gone(job: client.Job) -> bool:
    """Whether the job has ended, which it says only when no process of it is left."""
    return job.poll() is not None


def test_cancel_ends_the_process_and_leaves_no_files(toy: StartToy, widget: Any, chosen: Nodes) -> None:
    jobs = toy("wait-register")
    click(widget.panel.ui.runButton)
    wait_until(lambda: "Registering" in widget.panel.ui.statusLabel.text)
    click(widget.panel.ui.cancelButton)
    wait_until(lambda: state(widget) == "cancelled")
    assert is_gone(jobs[0])
    assert not jobs[0].work_folder.parent.exists()


def test_closing_the_scene_ends_the_process(toy: StartToy, widget: Any, chosen: Nodes) -> None:
    jobs = toy("wait-align")
    click(widget.panel.ui.runButton)
    wait_until(lambda: "Aligning" in widget.panel.ui.statusLabel.text)
    slicer.mrmlScene.Clear(0)
    wait_until(lambda: state(widget) == "cancelled")
    assert is_gone(jobs[0])


def test_closing_the_panel_ends_the_process(toy: StartToy, widget: Any, chosen: Nodes) -> None:
    jobs = toy("wait-align")
    click(widget.panel.ui.runButton)
    wait_until(lambda: "Aligning" in widget.panel.ui.statusLabel.text)
    widget.cleanup()
    assert is_gone(jobs[0])
    assert not jobs[0].work_folder.exists()


def test_a_crash_is_told_with_the_workers_last_words(
    toy: StartToy, widget: Any, chosen: Nodes, errors: list[str]
) -> None:
    toy("crash")
    click(widget.panel.ui.runButton)
    wait_until(lambda: state(widget) == "failed")
    assert widget.panel.session.error.code is Code.WORKER_DIED
    assert "the end is near" in errors[0]


def test_an_error_of_the_pipeline_is_told(toy: StartToy, widget: Any, chosen: Nodes, errors: list[str]) -> None:
    toy("refuse")
    click(widget.panel.ui.runButton)
    wait_until(lambda: state(widget) == "failed")
    assert errors == ["The image 東京.nii is constant.\n\nGive an image that shows something."]


def test_a_small_phantom_is_segmented_from_click_to_nodes(widget: Any, tmp_path: Path) -> None:
    from JointRegSegLib.phantom import write_pair

    files = write_pair(tmp_path, size=40)
    ui = widget.panel.ui
    ui.atlasVolumeSelector.setCurrentNode(slicer.util.loadVolume(str(files.atlas)))
    ui.atlasLabelsSelector.setCurrentNode(slicer.util.loadLabelVolume(str(files.atlas_labels)))
    target = slicer.util.loadVolume(str(files.target))
    ui.targetVolumeSelector.setCurrentNode(target)
    ui.qualityComboBox.currentIndex = 0
    click(ui.runButton)
    wait_until(lambda: not widget.panel.session.is_active, 120)
    assert widget.panel.session.error is None
    labels = slicer.mrmlScene.GetNodeByID(widget.panel.session.nodes.labels)
    assert labels.GetImageData().GetDimensions() == target.GetImageData().GetDimensions()
    truth = slicer.util.loadLabelVolume(str(files.target_labels))
    found, wanted = slicer.util.arrayFromVolume(labels), slicer.util.arrayFromVolume(truth)
    assert (found == wanted)[wanted > 0].mean() > 0.75


def test_a_corrected_structure_stays_and_landmarks_are_measured(widget: Any, tmp_path: Path) -> None:
    """The real engine, from the first click to the refined result."""
    from JointRegSegLib.phantom import write_pair
    from JointRegSegLib.volumes import read_label_map

    files = write_pair(tmp_path, size=40)
    ui = widget.panel.ui
    ui.atlasVolumeSelector.setCurrentNode(slicer.util.loadVolume(str(files.atlas)))
    ui.atlasLabelsSelector.setCurrentNode(slicer.util.loadLabelVolume(str(files.atlas_labels)))
    ui.targetVolumeSelector.setCurrentNode(slicer.util.loadVolume(str(files.target)))
    for selector in (ui.atlasPointsSelector, ui.targetPointsSelector):
        points = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode")
        for x in (-20.0, 0.0, 20.0):
            points.AddControlPoint([x, 5.0, -5.0])
        selector.setCurrentNode(points)
    ui.landmarkUseComboBox.currentIndex = 1
    ui.qualityComboBox.currentIndex = 0
    click(ui.runButton)
    wait_until(lambda: not widget.panel.run_section.is_active, 120)
    first = widget.panel.session
    assert first.error is None
    assert first.result.quality.measure("landmark_error_mm") > 0
    truth = read_label_map(files.target_labels)
    value = 1
    node = slicer.mrmlScene.GetNodeByID(first.nodes.segmentation)
    reference = slicer.mrmlScene.GetNodeByID(first.nodes.labels)
    assert not np.array_equal(slicer.util.arrayFromVolume(reference) == value, truth.array == value)
    corrected = (truth.array == value).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(corrected, node, f"Segment_{value}", reference)
    click(ui.refineButton)
    wait_until(lambda: not widget.panel.run_section.is_active, 120)
    assert widget.panel.session is not first
    assert widget.panel.session.error is None
    labels = slicer.mrmlScene.GetNodeByID(widget.panel.session.nodes.labels)
    assert np.array_equal(slicer.util.arrayFromVolume(labels) == value, truth.array == value)


def test_the_modules_self_test_passes(module: Any) -> None:
    module.JointRegSegTest("test_phantom").debug()
