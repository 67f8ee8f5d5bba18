"""Stand-ins of the pure-Python parts of Slicer that no package publishes, as far as the module uses them.

`slicer.i18n`, `slicer.ScriptedLoadableModule` and `slicer.parameterNodeWrapper`. Where the environment variable
JRS_SLICER_SOURCE names a checkout of Slicer, its own files are used instead; that keeps these honest.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import typing
import unittest
from enum import Enum
from pathlib import Path
from typing import Any

import slicer
import vtk

_NAMES = ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper")


class ScriptedLoadableModule:
    """Base of a module's description."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__


class ScriptedLoadableModuleWidget:
    """Base of a module's panel."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()

    def setup(self) -> None:
        """Nothing is shown to developers here."""


class ScriptedLoadableModuleLogic:
    """Base of a module's logic: finds or makes the one parameter node."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of a module's self test."""

    def delayDisplay(self, message: str, requestedDelay: Any = None, msec: Any = None) -> None:
        """There is no window to show the message in."""


class WithinRange:
    """Annotation of a number's limits."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum


def _is_node(kind: Any) -> bool:
    kinds = typing.get_args(kind) or (kind,)
    return any(isinstance(each, type) and issubclass(each, slicer.vtkMRMLNode) for each in kinds)


def _node_types(kind: Any) -> list[str]:
    return [each.__name__ for each in typing.get_args(kind) or (kind,) if each is not type(None)]


class _Parameter:
    """One typed value in a parameter node."""

    def __init__(self, name: str, kind: Any, default: Any) -> None:
        self.name, self.kind, self.default = name, kind, default

    def __get__(self, wrapper: Any, owner: type) -> Any:
        node = wrapper.parameterNode
        if _is_node(self.kind):
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        if text == "":
            return self.default
        return self.kind[text] if issubclass(self.kind, Enum) else self.kind(text)

    def __set__(self, wrapper: Any, value: Any) -> None:
        node = wrapper.parameterNode
        if _is_node(self.kind):
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, value.name if isinstance(value, Enum) else str(value))


class _Binding:
    """A widget and the parameter that it shows."""

    def __init__(self, wrapper: Any, parameter: _Parameter, widget: Any) -> None:
        self.wrapper, self.parameter, self.widget = wrapper, parameter, widget
        kind = type(widget).__name__
        if kind == "qMRMLNodeComboBox":
            widget.nodeTypes = _node_types(parameter.kind)
            self.signal = widget.currentNodeChanged
        elif kind == "QComboBox":
            widget.clear()
            for choice in parameter.kind:
                widget.addItem(choice.label())
            self.signal = widget.currentIndexChanged
        else:
            self.signal = widget.valueChanged
        self.to_widget()
        self.signal.connect(self.to_node)

    def to_node(self, *_: Any) -> None:
        kind = type(self.widget).__name__
        if kind == "qMRMLNodeComboBox":
            value = self.widget.currentNode()
        elif kind == "QComboBox":
            value = list(self.parameter.kind)[self.widget.currentIndex]
        else:
            value = self.widget.value
        self.parameter.__set__(self.wrapper, value)

    def to_widget(self, *_: Any) -> None:
        value = self.parameter.__get__(self.wrapper, type(self.wrapper))
        kind = type(self.widget).__name__
        if kind == "qMRMLNodeComboBox":
            self.widget.setCurrentNode(value)
        elif kind == "QComboBox":
            self.widget.currentIndex = list(self.parameter.kind).index(value)
        else:
            self.widget.value = value


class _Wrapper:
    """Base of the classes that `parameterNodeWrapper` makes."""

    parameters: typing.ClassVar[dict[str, _Parameter]]

    def __init__(self, node: Any) -> None:
        self.parameterNode = node
        self._connected: dict[int, tuple[list[_Binding], int]] = {}

    def connectGui(self, ui: Any) -> int:
        widgets = {w.property("SlicerParameterName"): w for w in vars(ui).values() if w.property("SlicerParameterName")}
        bindings = [_Binding(self, self.parameters[name], widget) for name, widget in widgets.items()]

        def to_widgets(*_: Any) -> None:
            for binding in bindings:
                binding.to_widget()

        tag = len(self._connected)
        self._connected[tag] = (bindings, self.AddObserver(vtk.vtkCommand.ModifiedEvent, to_widgets))
        return tag

    def disconnectGui(self, tag: int) -> None:
        bindings, observer = self._connected.pop(tag, ([], -1))
        self.RemoveObserver(observer)
        for binding in bindings:
            binding.signal.disconnect(binding.to_node)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)


def parameterNodeWrapper(described: type) -> type:
    """Class decorator: the annotated attributes become values kept in a parameter node."""
    parameters = {}
    for name, hint in typing.get_type_hints(described).items():
        parameters[name] = _Parameter(name, hint, getattr(described, name, None))
    return type(described.__name__, (_Wrapper,), {**parameters, "parameters": parameters})


def install() -> None:
    """Put the three modules under `slicer`: Slicer's own where JRS_SLICER_SOURCE says so, else these."""
    source = os.environ.get("JRS_SLICER_SOURCE", "")
    if source:
        slicer.__path__.append(str(Path(source) / "Base" / "Python" / "slicer"))
        for name in _NAMES:
            setattr(slicer, name, importlib.import_module(f"slicer.{name}"))
        return
    contents: dict[str, dict[str, Any]] = {
        "i18n": {"tr": lambda text: text, "translate": lambda context, text: text},
        "ScriptedLoadableModule": {
            kind.__name__: kind
            for kind in (
                ScriptedLoadableModule,
                ScriptedLoadableModuleWidget,
                ScriptedLoadableModuleLogic,
                ScriptedLoadableModuleTest,
            )
        },
        "parameterNodeWrapper": {"parameterNodeWrapper": parameterNodeWrapper, "WithinRange": WithinRange},
    }
    for name, content in contents.items():
        module = types.ModuleType(f"slicer.{name}")
        module.__dict__.update(content)
        sys.modules[module.__name__] = module
        setattr(slicer, name, module)
