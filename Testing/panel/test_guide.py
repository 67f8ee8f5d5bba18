"""The user guide keeps up with the panel: every control is in it, and its examples run word for word."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from JointRegSegLib.job import Request, Result
from JointRegSegLib.library.places import user_folder
from JointRegSegLib.methods import METHODS
from JointRegSegLib.service.training_client import Trained, TrainingRequest
from Testing.panel.fakes import FakeJob
from Testing.panel.test_method import write_package
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer  # noqa: E402

from Testing.rig.gui import SOURCES  # noqa: E402

pytestmark = pytest.mark.gui

GUIDE = (SOURCES / "docs" / "user-guide.md").read_text(encoding="utf-8")
REFERENCE = GUIDE.split("## Every control")[1].split("## Console")[0]
CONTROLS = {"QPushButton", "ctkCollapsibleButton"}


def controls() -> list[str]:
    """The words on every button, section and label of a control."""
    root = ElementTree.parse(SOURCES / "Resources" / "UI" / "JointRegSeg.ui").getroot()
    found = []
    for widget in root.iter("widget"):
        names = {p.get("name"): "".join(p.itertext()).strip() for p in widget.findall("property")}
        if widget.get("class") in CONTROLS or "buddy" in names:
            found.append(names["text"].rstrip(":"))
    assert len(found) > 50
    return found


@pytest.mark.parametrize("name", sorted(set(controls())))
def test_every_control_is_in_the_reference(name: str) -> None:
    words = re.split(r"[|,\n]", REFERENCE)
    assert name in [word.strip() for word in words]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_is_explained(method: str) -> None:
    assert f"| {METHODS[method].partition(':')[0]} |" in GUIDE


def test_the_eleven_questions_are_answered() -> None:
    answers = re.findall(r"^(\d+)\. \*.*\?\* \S", GUIDE.split("## Questions of the extension catalog")[1], re.MULTILINE)
    assert answers == [str(number) for number in range(1, 12)]


def test_the_examples_run(
    module: Any,
    make_nodes: Callable[[], Any],
    a_result: Result,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """In their order, on the scene that they make; workers are stand-ins that have finished."""
    requests: list[Request] = []

    def start(request: Request, python: str | None = None, work_folder: Path | None = None) -> FakeJob:
        requests.append(request)
        job = FakeJob()
        job.finish(a_result)
        return job.start(request, python, work_folder)

    trainings: list[TrainingRequest] = []

    class Finished:
        def join(self, on_event: Any) -> Trained:
            return Trained(write_package(tmp_path / "model.safetensors"), True, 10, 1.0, {"registration": 0.5})

    def train(request: TrainingRequest, python: str | None) -> Finished:
        trainings.append(request)
        return Finished()

    def install(package: Path, name: str = "", python: str | None = None) -> str:
        write_package(user_folder() / "models" / f"{name}.safetensors")
        return name

    monkeypatch.setattr("JointRegSegLib.panel.run_session.client.start", start)
    monkeypatch.setattr("JointRegSegLib.panel.console.start_training", train)
    monkeypatch.setattr("JointRegSegLib.panel.console.install_in_child", install)
    monkeypatch.setattr("JointRegSegLib.panel.console.check_in_child", lambda package, python: "jrss")
    monkeypatch.setattr(module.JointRegSegLogic, "loadSampleData", lambda self: make_nodes())
    names: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert len(examples) == 9
    for example in examples:
        exec(compile(example, "user-guide.md", "exec"), names)
    assert slicer.mrmlScene.GetNodeByID(names["refined"].segmentation) is not None
    assert len(requests) == 9
    assert [len(request.atlases) for request in requests] == [1, 1, 1, 1, 2, 1, 1, 1, 1]
    assert requests[5].landmarks is not None
    assert requests[7].corrected
    assert requests[8].method == "jrss"
    assert trainings[0].labelled == 5
    assert names["on_target"].IsA("vtkMRMLMarkupsFiducialNode")
    assert names["squares"].IsA("vtkMRMLScalarVolumeNode")
    assert names["logic"].models() == ()
