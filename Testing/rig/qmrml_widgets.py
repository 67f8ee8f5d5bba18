"""Stand-ins of Slicer's MRML widgets, bound to a real scene."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6 import QtCore

from .pythonqt import UI_CLASSES, qt


class qMRMLWidget(qt.QWidget):
    """The top of a module's panel: tells its children which scene to look at."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


def _option(name: str, kind: Any, default: Any) -> Any:
    def read(self: Any) -> Any:
        return self.__dict__.get(name, default)

    def write(self: Any, value: Any) -> None:
        self.__dict__[name] = list(value) if kind == "QStringList" else value
        self.refresh()

    return QtCore.Property(kind, read, write)


class qMRMLNodeComboBox(qt.QWidget):
    """A choice of one node of the scene, kept up to date with what the scene holds."""

    currentNodeChanged = QtCore.Signal(object)

    nodeTypes = _option("_node_types", "QStringList", [])
    noneEnabled = _option("_none_enabled", bool, False)
    noneDisplay = _option("_none_display", str, "None")
    addEnabled = _option("_add_enabled", bool, True)
    removeEnabled = _option("_remove_enabled", bool, True)
    renameEnabled = _option("_rename_enabled", bool, False)
    editEnabled = _option("_edit_enabled", bool, False)
    showHidden = _option("_show_hidden", bool, False)
    showChildNodeTypes = _option("_show_child_node_types", bool, True)
    selectNodeUponCreation = _option("_select_node_upon_creation", bool, True)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._box = qt.QComboBox()
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._scene: Any = None
        self._tags: list[int] = []
        self._chosen: str | None = None
        self._box.activated.connect(lambda index: self._choose(self._box.itemData(index)))

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        kind = slicer.vtkMRMLScene
        events = (kind.NodeAddedEvent, kind.NodeRemovedEvent, kind.EndCloseEvent, kind.EndImportEvent)
        self._tags = [scene.AddObserver(event, lambda *_: self.refresh()) for event in (events if scene else ())]
        self.refresh()

    def mrmlScene(self) -> Any:
        return self._scene

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._chosen) if self._scene and self._chosen else None

    def setCurrentNode(self, node: Any) -> None:
        known = node is not None and node.GetID() in [each.GetID() for each in self._nodes()]
        self._choose(node.GetID() if known else None)

    def refresh(self) -> None:
        """Show the nodes that fit now; where the chosen one has gone, choose none."""
        if self._scene is None or self._scene.IsBatchProcessing():
            return
        nodes = self._nodes()
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem(self.noneDisplay, None)
        for node in nodes:
            self._box.addItem(node.GetName(), node.GetID())
        ids = [node.GetID() for node in nodes]
        first = None if self.noneEnabled or not ids else ids[0]
        self._choose(self._chosen if self._chosen in ids else first)

    def _nodes(self) -> list[Any]:
        found: list[Any] = []
        for kind in self.nodeTypes if self._scene else ():
            of_kind = [self._scene.GetNthNodeByClass(i, kind) for i in range(self._scene.GetNumberOfNodesByClass(kind))]
            for node in of_kind:
                hidden = node.GetHideFromEditors() and not self.showHidden
                child = node.GetClassName() != kind and not self.showChildNodeTypes
                if not hidden and not child and node not in found:
                    found.append(node)
        return found

    def _choose(self, identity: str | None) -> None:
        row = self._box.findData(identity) if identity else (0 if self.noneEnabled else -1)
        self._box.setCurrentIndex(row)
        if identity != self._chosen:
            self._chosen = identity
            self.currentNodeChanged.emit(self.currentNode())


def install() -> None:
    """Put the widgets where Slicer has them: in the `slicer` namespace, and known to .ui files."""
    made = {
        "qMRMLWidget": qMRMLWidget,
        "qMRMLNodeComboBox": qMRMLNodeComboBox,
        "qMRMLSliderWidget": type("qMRMLSliderWidget", (qt.QSlider,), {}),
        "qMRMLSpinBox": type("qMRMLSpinBox", (qt.QDoubleSpinBox,), {}),
        "qMRMLRangeWidget": type("qMRMLRangeWidget", (qt.QWidget,), {}),
    }
    for name, kind in made.items():
        setattr(slicer, name, kind)
        UI_CLASSES[name] = kind
