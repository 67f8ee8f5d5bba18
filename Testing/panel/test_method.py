"""The method is chosen, models are imported, checked and removed, all by clicks; the weights are a child's business."""

from __future__ import annotations

import dataclasses
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from JointRegSegLib.job import Refinement
from JointRegSegLib.library.models import installed_models
from JointRegSegLib.library.places import user_folder
from JointRegSegLib.methods import METHODS, REGISTERING
from JointRegSegLib.training.card import KEY, Card, Structure
from Testing.panel.fakes import FakeJob
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")

from Testing.rig.clicks import click  # noqa: E402
from Testing.rig.gui import wait_until  # noqa: E402
from Testing.rig.pythonqt import qt  # noqa: E402

pytestmark = pytest.mark.gui

CARD = Card(
    method="jrss",
    config={},
    structures=(Structure(5, "left part", (1, 2, 3)), Structure(2, "right part", (4, 5, 6))),
    size=(8, 8, 8),
    spacing=(2.0, 2.0, 2.5),
    intensity="unit",
    training={"labelled": 5, "subjects": 40},
    scores={"registration": 0.75},
    licence="CC BY 4.0",
)


def write_package(path: Path, card: Card = CARD) -> Path:
    """A package whose card can be read; it has no weights."""
    header = json.dumps({"__metadata__": {KEY: card.to_json()}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


@pytest.fixture
def a_model(module: Any) -> str:
    """An installed model's name."""
    write_package(user_folder() / "models" / "heads.safetensors")
    return "heads"


def choose(widget: Any, name: str) -> None:
    box = widget.panel.ui.methodComboBox
    box.currentIndex = box.findData(name)


def test_the_optimization_is_the_default_and_explains_itself(widget: Any) -> None:
    ui = widget.panel.ui
    assert ui.methodComboBox.currentText == "Optimization"
    assert "Needs no training" in ui.methodTextLabel.text
    assert not ui.refinementComboBox.enabled
    assert not ui.checkModelButton.enabled
    assert not ui.removeModelButton.enabled


def test_an_installed_model_says_what_it_is_for(a_model: str, widget: Any) -> None:
    ui = widget.panel.ui
    choose(widget, a_model)
    assert ui.methodComboBox.currentText == "heads (JRSS)"
    said = ui.methodTextLabel.text
    for part in ("very few of them were labeled", "CC BY 4.0", "left part", "40 scans, 5 of them labeled", "0.750"):
        assert part in said
    assert ui.refinementComboBox.enabled


def test_a_run_gets_the_model_its_method_and_the_refinement(
    a_model: str, fake_job: FakeJob, widget: Any, chosen: Any
) -> None:
    choose(widget, a_model)
    widget.panel.ui.refinementComboBox.currentIndex = 2
    click(widget.panel.ui.runButton)
    assert fake_job.request is not None
    assert fake_job.request.method == "jrss"
    assert fake_job.request.model == user_folder() / "models" / "heads.safetensors"
    assert fake_job.request.refinement is Refinement.IMAGES


def test_the_choice_comes_back_with_the_scene_even_where_the_model_is_missing(
    a_model: str, widget: Any, chosen: Any, the_rig: Any
) -> None:
    import slicer.util

    choose(widget, a_model)
    bundle = str(the_rig.folder / "model.mrb")
    assert slicer.util.saveScene(bundle)
    slicer.mrmlScene.Clear(0)
    assert widget.panel.ui.methodComboBox.currentText == "Optimization"
    (user_folder() / "models" / "heads.safetensors").unlink()
    slicer.util.loadScene(bundle)
    widget.enter()
    assert widget.panel.ui.methodComboBox.currentText == "heads (not installed)"
    assert "not installed" in widget.panel.ui.runButton.toolTip
    choose(widget, "")
    assert widget.panel.ui.runButton.enabled


def test_a_damaged_package_is_listed_and_cannot_run(module: Any, widget: Any, chosen: Any) -> None:
    broken = user_folder() / "models" / "broken.safetensors"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"nothing")
    widget.enter()
    choose(widget, "broken")
    assert "no model package of JointRegSeg" in widget.panel.ui.methodTextLabel.text
    assert not widget.panel.ui.runButton.enabled


def test_a_model_is_removed_after_consent_alone(a_model: str, widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(widget, a_model)
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text: False)
    click(widget.panel.ui.removeModelButton)
    assert len(installed_models()) == 1
    monkeypatch.setattr("slicer.util.confirmOkCancelDisplay", lambda text: True)
    click(widget.panel.ui.removeModelButton)
    assert installed_models() == ()
    assert widget.panel.ui.methodComboBox.currentText == "Optimization"
    assert "was deleted" in widget.panel.ui.modelStatusLabel.text


def test_a_model_file_is_imported_and_checked_by_clicks(
    widget: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[str]
) -> None:
    torch = need("torch")
    from JointRegSegLib.training.package import save_package

    package = tmp_path / "brain.safetensors"
    save_package(package, {"weight": torch.arange(8.0)}, CARD)
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *arguments: str(package)))
    ui = widget.panel.ui
    click(ui.importModelButton)
    assert "Checking the weights" in ui.modelStatusLabel.text
    assert not ui.importModelButton.enabled
    wait_until(lambda: bool(ui.importModelButton.enabled), 60)
    assert errors == []
    assert ui.methodComboBox.currentText == "brain (JRSS)"
    installed = user_folder() / "models" / "brain.safetensors"
    assert installed.read_bytes() == package.read_bytes()
    click(ui.checkModelButton)
    wait_until(lambda: "is whole" in ui.modelStatusLabel.text, 60)
    installed.write_bytes(installed.read_bytes()[:-4] + b"abcd")
    click(ui.checkModelButton)
    wait_until(lambda: len(errors) == 1, 60)
    assert "damaged" in errors[0]


def test_a_file_that_is_no_model_is_refused_in_words(
    widget: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[str]
) -> None:
    file = tmp_path / "holiday.safetensors"
    file.write_bytes(b"no model at all")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *arguments: str(file)))
    click(widget.panel.ui.importModelButton)
    wait_until(lambda: len(errors) == 1, 60)
    assert "no model package of JointRegSeg" in errors[0]
    assert installed_models() == ()


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_says_when_to_use_it_and_whose_labels_it_gives(module: Any, widget: Any, method: str) -> None:
    write_package(user_folder() / "models" / "m.safetensors", dataclasses.replace(CARD, method=method, licence=""))
    widget.enter()
    choose(widget, "m")
    said = widget.panel.ui.methodTextLabel.text
    assert "Choose it for scans like those of its training" in said
    assert ("propagation" in said) is (method in REGISTERING)
    assert "is not stated" in said


def test_a_position_map_and_the_version_that_trained_a_model_are_told(a_model: str, widget: Any) -> None:
    config = {"model": {"position": "full"}}
    card = dataclasses.replace(CARD, method="pgcnet", config=config, software="1.2.3")
    write_package(user_folder() / "models" / "mapped.safetensors", card)
    widget.enter()
    choose(widget, "mapped")
    said = widget.panel.ui.methodTextLabel.text
    for part in ("position map", "8 x 8 x 8 voxels of 2 x 2 x 2.5 mm", "is resampled", "Trained by JointRegSeg 1.2.3"):
        assert part in said
    choose(widget, a_model)
    said = widget.panel.ui.methodTextLabel.text
    assert "position map" not in said
    assert "Trained by" not in said


def test_the_time_of_the_latest_run_is_told(fake_job: FakeJob, widget: Any, chosen: Any, a_result: Any) -> None:
    ui = widget.panel.ui
    assert "No run of this kind" in ui.methodTextLabel.text
    click(ui.runButton)
    fake_job.finish(a_result)
    wait_until(lambda: widget.panel.session.state.value == "finished")
    assert "The latest run of this kind took" in ui.methodTextLabel.text
    ui.qualityComboBox.currentIndex = 2
    assert "No run of this kind" in ui.methodTextLabel.text
