"""Training from the panel: started, stopped, resumed, watched and installed by clicks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import Code, Device, Event, JobError, Kind
from JointRegSegLib.library.models import installed_models
from JointRegSegLib.methods import METHODS
from JointRegSegLib.service.client import Outcome
from JointRegSegLib.service.training_client import Trained, TrainingRequest
from JointRegSegLib.volumes import read_label_map, read_volume
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.clicks import click  # noqa: E402
from Testing.rig.gui import wait_until  # noqa: E402
from Testing.rig.pythonqt import qt  # noqa: E402

pytestmark = pytest.mark.gui

Nodes = tuple[Any, Any, Any]


class FakeTraining:
    """Stands in for `service.training_client.TrainingJob`."""

    def __init__(self, request: TrainingRequest) -> None:
        self.request = request
        self.trained: Trained | None = None
        self.cancelled = False
        self.events: list[Event] = []
        self.outcome: Outcome | None = None

    def drain(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def poll(self) -> Outcome | None:
        return self.outcome

    def cancel(self) -> None:
        self.cancelled = True


@pytest.fixture
def trainings(module: Any, monkeypatch: pytest.MonkeyPatch) -> list[FakeTraining]:
    """The trainings that were started."""
    started: list[FakeTraining] = []

    def start(request: TrainingRequest, python: str | None = None) -> FakeTraining:
        started.append(FakeTraining(request))
        return started[-1]

    monkeypatch.setattr("JointRegSegLib.panel.training_session.training_client.start_training", start)
    return started


@pytest.fixture
def ready(widget: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The panel's widgets, with scans and a folder chosen by clicks."""
    ui = widget.panel.ui
    folders = [tmp_path / "scans", tmp_path / "trained"]
    for folder in folders:
        folder.mkdir()
    left = [str(folder) for folder in folders]
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *arguments: left.pop(0)))
    assert "scans to train on" in ui.trainButton.toolTip
    click(ui.chooseTrainDataButton)
    assert "folder for the model" in ui.trainButton.toolTip
    click(ui.chooseTrainOutputButton)
    return ui


def test_every_method_can_be_chosen_with_its_settings(widget: Any) -> None:
    ui = widget.panel.ui
    texts = []
    for index in range(ui.trainMethodComboBox.count):
        ui.trainMethodComboBox.currentIndex = index
        texts.append(ui.trainMethodTextLabel.text)
        assert ui.trainPresetComboBox.itemText(0) == "As in the paper"
        assert ui.trainPresetComboBox.findData("small") > 0
    assert len(set(texts)) == len(METHODS)


def test_training_gets_what_the_panel_shows_and_tells_how_far_it_is(
    ready: Any, trainings: list[FakeTraining], tmp_path: Path
) -> None:
    ready.trainMethodComboBox.currentIndex = ready.trainMethodComboBox.findData("jrss")
    ready.trainPresetComboBox.currentIndex = ready.trainPresetComboBox.findData("small")
    ready.trainLabelledSpinBox.value = 5
    ready.trainMinutesSpinBox.value = 90
    ready.trainLicenceLineEdit.text = "CC0"
    ready.deviceComboBox.currentIndex = 1
    click(ready.trainButton)
    assert trainings[0].request == TrainingRequest(
        "jrss", tmp_path / "scans", tmp_path / "trained", "small", 5, 90.0, False, "CC0", Device.CPU
    )
    assert TrainingRequest.from_json(trainings[0].request.to_json()) == trainings[0].request
    assert not ready.trainButton.enabled
    trainings[0].events.append(
        Event(Kind.PROGRESS, "step 7 of about 100, joint: loss 0.5", "train", 0.07, eta_seconds=600)
    )
    wait_until(lambda: "step 7 of about 100" in ready.trainStatusLabel.text)
    assert "about 10 min left" in ready.trainStatusLabel.text
    assert ready.trainProgressBar.value == 70


def test_the_console_asks_for_what_the_shell_can(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrainingRequest] = []

    class Finished:
        def join(self, on_event: Any) -> None: ...

    def start(request: TrainingRequest, python: str | None) -> Finished:
        asked.append(TrainingRequest.from_json(request.to_json()))
        return Finished()

    monkeypatch.setattr("JointRegSegLib.panel.console.start_training", start)
    folder, table = str(tmp_path), str(tmp_path / "names.csv")
    train = module.JointRegSegLogic().train
    train(method="jrss", data=folder, output=folder, device="cuda", seed=3, table=table, threads=2)
    train(method="jrss", data=folder, output=folder)
    common = {"method": "jrss", "data": tmp_path, "output": tmp_path}
    more = {"device": Device.CUDA, "seed": 3, "table": Path(table), "threads": 2}
    assert asked == [TrainingRequest(**common, **more), TrainingRequest(**common)]
    with pytest.raises(JobError, match="device is gpu") as caught:
        train(method="jrss", data=folder, output=folder, device="gpu")
    assert caught.value.code is Code.REQUEST_INVALID


def test_a_caution_stays_beside_the_progress_and_the_end(
    ready: Any, trainings: list[FakeTraining], tmp_path: Path
) -> None:
    click(ready.trainButton)
    trainings[0].events += [
        Event(Kind.CAUTION, "No scan is for validation.", code="no-validation"),
        Event(Kind.PROGRESS, "step 7 of about 100", "train", 0.07),
    ]
    wait_until(lambda: "step 7" in ready.trainStatusLabel.text)
    assert ready.trainStatusLabel.text.endswith("\nNo scan is for validation.")
    trainings[0].trained = Trained(tmp_path / "trained" / "model.safetensors", True, 100, 1.5, {})
    trainings[0].outcome = Outcome()
    wait_until(lambda: "is finished" in ready.trainStatusLabel.text)
    assert ready.trainStatusLabel.text.endswith("\nNo scan is for validation.")


def test_stop_and_resume(ready: Any, trainings: list[FakeTraining], tmp_path: Path) -> None:
    click(ready.trainButton)
    click(ready.stopTrainButton)
    assert trainings[0].cancelled
    assert not ready.stopTrainButton.enabled
    model = tmp_path / "trained" / "model.safetensors"
    trainings[0].trained = Trained(model, False, 12, 1.5, {"registration": 0.5})
    trainings[0].outcome = Outcome()
    wait_until(lambda: bool(ready.resumeTrainButton.enabled))
    assert "stopped after 12 steps" in ready.trainStatusLabel.text
    assert "registration 0.500" in ready.trainStatusLabel.text
    click(ready.resumeTrainButton)
    assert trainings[1].request.resume


def test_a_failure_is_told(ready: Any, trainings: list[FakeTraining], errors: list[str]) -> None:
    click(ready.trainButton)
    trainings[0].outcome = Outcome(error=JobError(Code.DATA_INVALID, "It has 1 scans.", "Give more."))
    wait_until(lambda: errors == ["It has 1 scans.\n\nGive more."])
    assert ready.trainButton.enabled


def test_closing_the_module_stops_the_training(ready: Any, trainings: list[FakeTraining], widget: Any) -> None:
    click(ready.trainButton)
    widget.cleanup()
    assert trainings[0].cancelled


@pytest.fixture
def layout(scene: Any) -> Iterator[Any]:
    """The layout node, which outlives a scene, and so is removed here."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLayoutNode")
    node.SetViewArrangement(node.SlicerLayoutConventionalView)
    yield node
    slicer.mrmlScene.RemoveNode(node)


def test_curves_grow_in_a_chart(ready: Any, layout: Any, trainings: list[FakeTraining], tmp_path: Path) -> None:
    lines = [{"step": 1, "phase": "joint", "total": 2.0, "parts": {"seg": 1.5, "reg": 0.5}, "lr": 0.1}]
    file = tmp_path / "trained" / "curves.jsonl"
    file.write_text(json.dumps(lines[0]) + "\n")
    click(ready.trainButton)
    wait_until(lambda: bool(ready.curvesButton.enabled))
    click(ready.curvesButton)
    scene = slicer.mrmlScene
    wait_until(lambda: scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2)
    with file.open("a") as more:
        more.write(json.dumps({**lines[0], "step": 2}) + "\n" + '{"step": 2, "validation": {"registration": 0.7}}\n')
    series = scene.GetFirstNodeByClass("vtkMRMLPlotSeriesNode")
    wait_until(lambda: series.GetTableNode().GetTable().GetNumberOfRows() == 2)
    assert series.GetName() == "joint/seg"
    chart = scene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert chart.GetNumberOfPlotSeriesNodes() == 2
    assert layout.GetViewArrangement() == layout.SlicerLayoutConventionalPlotView
    ready.curvesComboBox.currentIndex = 1
    wait_until(lambda: scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 2)
    names = [scene.GetNthNodeByClass(i, "vtkMRMLPlotSeriesNode").GetName() for i in range(3)]
    assert names[2] == "validation/registration"


def test_the_lists_become_a_training_set_without_names(
    ready: Any, widget: Any, make_nodes: Callable[[], Nodes], tmp_path: Path
) -> None:
    assert not ready.sceneTrainDataButton.enabled
    for number in range(3):
        atlas, labels, target = make_nodes()
        atlas.SetName(f"Doe {number}")
        ready.atlasVolumeSelector.setCurrentNode(atlas)
        ready.atlasLabelsSelector.setCurrentNode(labels)
        ready.targetVolumeSelector.setCurrentNode(target)
        click(ready.addAtlasButton)
    click(ready.addTargetButton)
    click(ready.sceneTrainDataButton)
    table = Path(ready.trainDataLineEdit.text)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train", "train", "val", "train"]
    assert [bool(row["label"]) for row in rows] == [True, True, True, False]
    assert not any("Doe" in file.name for file in table.parent.iterdir())
    scan = read_volume(table.parent / rows[0]["image"])
    assert np.array_equal(scan.array, slicer.util.arrayFromVolume(slicer.util.getNode("Doe 0")))
    assert read_label_map(table.parent / rows[0]["label"]).array.max() == 1
    from JointRegSegLib.training.subjects import read_subjects

    assert len(read_subjects(table)) == 4


def test_a_small_model_is_trained_stopped_resumed_and_installed(ready: Any, widget: Any, tmp_path: Path) -> None:
    """A real process on boxes of a few voxels."""
    need("torch")
    from Testing.engine.model_cases import short_preset, write_boxes

    write_boxes(tmp_path / "scans")
    preset = short_preset(tmp_path, "deepatlas")
    ready.trainMethodComboBox.currentIndex = ready.trainMethodComboBox.findData("deepatlas")
    ready.trainPresetComboBox.addItem("short", str(preset))
    ready.trainPresetComboBox.currentIndex = ready.trainPresetComboBox.count - 1
    ready.trainLabelledSpinBox.value = 2
    click(ready.trainButton)
    section = widget.panel.train_section
    wait_until(lambda: section.session.event is not None and section.session.event.stage == "train", 120)
    click(ready.stopTrainButton)
    wait_until(lambda: not section.session.is_active, 120)
    assert section.session.error is None
    stopped = section.session.trained
    click(ready.resumeTrainButton)
    wait_until(lambda: not section.session.is_active, 120)
    assert section.session.error is None
    assert section.session.trained.finished
    assert section.session.trained.steps >= stopped.steps
    ready.trainNameLineEdit.text = "boxes"
    click(ready.installModelButton)
    wait_until(lambda: [model.name for model in installed_models()] == ["boxes"], 60)
    wait_until(lambda: widget.panel.ui.methodComboBox.currentText == "boxes (DeepAtlas)", 60)
