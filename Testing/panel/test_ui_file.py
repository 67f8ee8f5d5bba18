"""JointRegSeg.ui as Qt Designer's XML: what only Slicer itself would notice otherwise."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2]
PARAMETERS = SOURCES / "JointRegSegLib" / "panel" / "parameters.py"
ALLOWED = {
    "QComboBox",
    "QLabel",
    "QLineEdit",
    "QProgressBar",
    "QPushButton",
    "QSlider",
    "QSpinBox",
    "QTableWidget",
    "ctkCollapsibleButton",
    "qMRMLNodeComboBox",
    "qMRMLWidget",
}
BY_SECTIONS = {"atlasList", "model", "targetList"}
"""Parameters that no widget is bound to: a section of the panel shows them."""


@pytest.fixture(scope="module")
def ui() -> ElementTree.Element:
    return ElementTree.parse(SOURCES / "Resources" / "UI" / "JointRegSeg.ui").getroot()


def widgets(ui: ElementTree.Element, kind: str = "") -> list[ElementTree.Element]:
    found = [widget for widget in ui.iter("widget") if kind in ("", widget.get("class"))]
    assert found, f"the panel has no {kind or 'widget'}"
    return found


def value(widget: ElementTree.Element, name: str) -> str:
    """The text of one of the widget's own properties; empty where it is not set."""
    found = widget.find(f"property[@name='{name}']")
    return "" if found is None else "".join(found.itertext()).strip()


def test_only_known_classes_are_used(ui: ElementTree.Element) -> None:
    assert {widget.get("class") for widget in widgets(ui)} == ALLOWED


def test_classes_that_are_not_qts_are_declared(ui: ElementTree.Element) -> None:
    declared = {custom.findtext("class") for custom in ui.iter("customwidget")}
    assert declared == {name for name in ALLOWED if not name.startswith("Q")}


def test_names_are_unique(ui: ElementTree.Element) -> None:
    names = [widget.get("name") for widget in widgets(ui)]
    assert len(set(names)) == len(names)


def test_every_selector_hears_of_the_scene(ui: ElementTree.Element) -> None:
    told = {
        connection.findtext("receiver")
        for connection in ui.iter("connection")
        if connection.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
        and connection.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"
        and connection.findtext("sender") == "JointRegSeg"
    }
    assert told == {selector.get("name") for selector in widgets(ui, "qMRMLNodeComboBox")}


def test_selectors_show_no_label_maps_as_scans(ui: ElementTree.Element) -> None:
    for selector in widgets(ui, "qMRMLNodeComboBox"):
        if "vtkMRMLScalarVolumeNode" in value(selector, "nodeTypes"):
            assert value(selector, "showChildNodeTypes") == "false", selector.get("name")


def test_selectors_neither_make_nor_delete_nodes(ui: ElementTree.Element) -> None:
    for selector in widgets(ui, "qMRMLNodeComboBox"):
        assert (value(selector, "addEnabled"), value(selector, "removeEnabled")) == ("false", "false")


def test_every_widget_has_a_tooltip(ui: ElementTree.Element) -> None:
    without = [w.get("name") for w in widgets(ui) if w.get("class") != "qMRMLWidget" and not value(w, "toolTip")]
    assert without == []


def test_parameters_of_the_panel_are_those_of_the_node(ui: ElementTree.Element) -> None:
    bound = [value(widget, "SlicerParameterName") for widget in widgets(ui)]
    described = PARAMETERS.read_text(encoding="utf-8").split("class Parameters:")[1]
    attributes = [
        line.split(":")[0].strip() for line in described.splitlines() if line.startswith("    ") and ": " in line
    ]
    known = {name for name in attributes if name.isidentifier()}
    assert len(set(filter(None, bound))) == len(list(filter(None, bound)))
    assert known - set(bound) == BY_SECTIONS
    assert set(filter(None, bound)) <= known


def test_labels_belong_to_their_controls(ui: ElementTree.Element) -> None:
    names = {widget.get("name") for widget in widgets(ui)}
    for label in widgets(ui, "QLabel"):
        buddy = value(label, "buddy")
        assert not buddy or buddy in names
