"""Inputs that no run can use: refused by a click in words that name the node, before a worker starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import Code, Event, JobError, Kind, Result
from JointRegSegLib.volumes import read_label_map
from Testing.panel.fakes import FakeJob
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402
import vtk  # noqa: E402
from PySide6 import QtGui  # noqa: E402
from vtk.util.numpy_support import numpy_to_vtk  # noqa: E402

from Testing.rig.clicks import click  # noqa: E402
from Testing.rig.gui import wait_until  # noqa: E402

pytestmark = pytest.mark.gui

Nodes = tuple[Any, Any, Any]


def fill(node: Any, value: int) -> None:
    """One value everywhere."""
    slicer.util.updateVolumeFromArray(node, np.full_like(slicer.util.arrayFromVolume(node), value))


def make_colored(widget: Any, nodes: Nodes) -> None:
    """A target of three values in each voxel."""
    image = nodes[2].GetImageData()
    values = numpy_to_vtk(np.zeros((image.GetNumberOfPoints(), 3), np.uint8), deep=True)
    image.GetPointData().SetScalars(values)


def move_labels(widget: Any, nodes: Nodes) -> None:
    """Labels that lie far from their atlas."""
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 900.0)
    transform.SetMatrixTransformToParent(matrix)
    nodes[1].SetAndObserveTransformNodeID(transform.GetID())


def mask_nothing(widget: Any, nodes: Nodes) -> None:
    """A mask of the target without a voxel, chosen by the user."""
    volumes = slicer.modules.volumes.logic()
    mask = volumes.CreateAndAddLabelVolume(slicer.mrmlScene, nodes[2], "mask")
    widget.panel.ui.targetMaskSelector.setCurrentNode(mask)


def mask_elsewhere(widget: Any, nodes: Nodes) -> None:
    """A region of interest beside the atlas, chosen by the user."""
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "region")
    region.SetCenter(900.0, 0.0, 0.0)
    region.SetSize(10.0, 10.0, 10.0)
    widget.panel.ui.atlasMaskSelector.setCurrentNode(region)


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (lambda widget, nodes: fill(nodes[1], 0), Code.LABELS_EMPTY, "“labels”"),
        (lambda widget, nodes: fill(nodes[1], -3), Code.LABELS_NEGATIVE, "“labels” holds the label value -3"),
        (make_colored, Code.NOT_3D, "“target” has 3 values in each voxel"),
        (move_labels, Code.LABELS_ELSEWHERE, "“labels” lie nowhere on the atlas"),
        (mask_nothing, Code.MASK_EMPTY, "“mask” leaves no voxel"),
        (mask_elsewhere, Code.MASK_ELSEWHERE, "“region” lies nowhere on the atlas"),
    ],
    ids=["empty labels", "negative labels", "colors", "labels elsewhere", "empty mask", "mask elsewhere"],
)
def test_what_cannot_be_used_is_refused_by_name(
    jobs: list[FakeJob],
    widget: Any,
    chosen: Nodes,
    errors: list[str],
    spoil: Callable[[Any, Nodes], None],
    code: Code,
    words: str,
) -> None:
    spoil(widget, chosen)
    before = slicer.mrmlScene.GetNumberOfNodes()
    click(widget.panel.ui.runButton)
    assert jobs == []
    assert words in errors[0]
    assert widget.panel.session.error.code is code
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert widget.panel.ui.runButton.enabled


def test_label_values_above_255_stay_what_they_are(fake_job: FakeJob, widget: Any, chosen: Nodes) -> None:
    slicer.util.arrayFromVolume(chosen[1])[3, 3, 3] = 3001
    slicer.util.arrayFromVolumeModified(chosen[1])
    click(widget.panel.ui.runButton)
    assert fake_job.request is not None
    assert set(read_label_map(fake_job.request.atlases[0].labels).table) == {1, 3001}


def test_what_the_worker_says_of_a_file_is_told_by_the_name_of_its_node(
    fake_job: FakeJob, widget: Any, chosen: Nodes, errors: list[str]
) -> None:
    click(widget.panel.ui.runButton)
    request = fake_job.request
    assert request is not None
    fake_job.tell(Event(Kind.CAUTION, f"{request.atlases[0].labels} were resampled."))
    fake_job.fail(JobError(Code.NOT_FINITE, f"{request.target} holds 4 values that are not finite numbers.", "Mend."))
    wait_until(lambda: len(errors) == 1)
    assert errors[0] == "“target” holds 4 values that are not finite numbers.\n\nMend."
    assert widget.panel.session.notes == ["“labels” were resampled."]


def test_the_copied_report_names_nobody(fake_job: FakeJob, widget: Any, chosen: Nodes, errors: list[str]) -> None:
    chosen[2].SetName("Doe^Jane")
    click(widget.panel.ui.runButton)
    request = fake_job.request
    assert request is not None
    fake_job.fail(JobError(Code.IMAGE_EMPTY, f"All voxels of {request.target} are 0.", "Give the scan."))
    wait_until(lambda: len(errors) == 1)
    assert "Doe^Jane" in errors[0]
    click(widget.panel.ui.copyReportButton)
    copied = QtGui.QGuiApplication.clipboard().text()
    assert "Error image-empty: All voxels of “...” are 0." in copied
    assert "Doe" not in copied


def test_temporary_folders_may_have_long_names_of_any_letters_and_tell_of_nobody(
    fake_job: FakeJob,
    widget: Any,
    chosen: Nodes,
    a_result: Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "Größe 東京" / ("long " * 30).strip() / ("longer " * 30).strip()
    folder.mkdir(parents=True)
    monkeypatch.setattr(slicer.app, "temporaryPath", str(folder))
    for node in chosen:
        node.SetName("Doe^Jane")
        node.SetAttribute("DICOM.instanceUIDs", "1.2.840.99")
    click(widget.panel.ui.runButton)
    assert fake_job.request is not None
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert fake_job.request.target in files
    assert not [path for path in files if "Doe" in path.name or b"1.2.840.99" in path.read_bytes()]
    assert not [path for path in files if b"Doe^Jane" in path.read_bytes()]
    fake_job.finish(a_result)
    wait_until(lambda: widget.panel.session.state.value == "finished")
