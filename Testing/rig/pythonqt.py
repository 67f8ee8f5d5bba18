"""The `qt` module of Slicer's Python (PythonQt) on top of PySide6.

Manners that differ from PySide6 and that the panel relies on: a Qt property is an attribute, so `label.text` reads and
`label.text = "x"` writes it, and `label.text()` raises; `button.connect("clicked(bool)", f)` works beside
`button.clicked.connect(f)`; `name` is the object's name; keyword arguments are refused.
"""

from __future__ import annotations

import ctypes
import os
import sys
import types
import xml.etree.ElementTree as ElementTree
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

# With every emit and disconnect PySide 6.12 gives away a reference to True that it does not own, which before Python
# 3.12 ends in an abort. These are spare ones; the list itself is never freed.
_SPARE = [True, False] * 500_000
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_SPARE))

_LIBRARIES = (QtWidgets, QtGui, QtCore)
_ORIGINALS: dict[type, type] = {}
_WRAPPED: dict[type, type] = {}


class _WidgetClass(type(QtCore.QObject)):
    """Makes `isinstance(x, qt.QWidget)` true for every widget, though each wrapper has a PySide base of its own."""

    def __instancecheck__(cls, instance: Any) -> bool:
        original = _ORIGINALS.get(cls)
        return isinstance(instance, original) if original else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        original = _ORIGINALS.get(cls)
        return issubclass(subclass, original) if original else super().__subclasscheck__(subclass)


def _signal(sender: Any, signature: str) -> Any:
    return getattr(sender, signature.split("(")[0])


class _Manners:
    """What every object of the shim can do besides its Qt class."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        if named:
            raise TypeError(f"{type(self).__name__} takes no keyword arguments in PythonQt: {', '.join(named)}")
        super().__init__(*arguments)

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        # Shiboken looks these two up in the dictionary of the exact type only.
        for method in ("connect", "disconnect"):
            setattr(cls, method, _Manners.__dict__[method])

    def connect(self, signature: str, receiver: Any) -> bool:
        _signal(self, signature).connect(receiver)
        return True

    def disconnect(self, signature: str, receiver: Any) -> bool:
        return bool(_signal(self, signature).disconnect(receiver))

    def findChildren(self, kind: type = QtCore.QObject, name: str = "") -> list[Any]:
        return list(QtCore.QObject.findChildren(self, _ORIGINALS.get(kind, kind), name or None))

    @property
    def name(self) -> str:
        return self.property("objectName")

    @name.setter
    def name(self, value: str) -> None:
        self.setProperty("objectName", value)

    def className(self) -> str:
        return type(self).__name__

    def delete(self) -> None:
        self.deleteLater()


def _attribute(name: str) -> property:
    def read(self: Any) -> Any:
        return self.property(name)

    def write(self: Any, value: Any) -> None:
        if not self.setProperty(name, value):
            raise TypeError(f"{type(self).__name__}.{name} cannot be {value!r}")

    return property(read, write)


def wrapped(original: type) -> type:
    """The PythonQt-mannered class of a PySide class."""
    if original not in _WRAPPED:
        meta = original.staticMetaObject
        attributes = {meta.property(i).name(): None for i in range(meta.propertyCount())}
        body = {name: _attribute(name) for name in attributes}
        made = _WidgetClass(original.__name__, (_Manners, original), body)
        _ORIGINALS[made] = original
        _WRAPPED[original] = made
    return _WRAPPED[original]


def _find(name: str) -> Any:
    """`qt.NAME`, made when first asked for."""
    for library in _LIBRARIES:
        found = getattr(library, name, None)
        if found is None:
            continue
        is_object = isinstance(found, type) and issubclass(found, QtCore.QObject)
        if is_object and not issubclass(found, QtCore.QCoreApplication):
            found = wrapped(found)
        setattr(qt, name, found)
        return found
    raise AttributeError(f"qt has no {name}")


qt = types.ModuleType("qt")
qt.__getattr__ = _find
UI_CLASSES: dict[str, type] = {}
"""Classes that are not Qt's and that a .ui file may name; the ctk and qMRML stand-ins enter themselves."""


class QUiLoader(QtUiTools.QUiLoader):
    """Loads a .ui file into the shim's classes and makes its connections, which PySide cannot for Python's signals."""

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        kind = UI_CLASSES.get(class_name) or getattr(qt, class_name)
        widget = kind(parent) if parent is not None else kind()
        widget.name = name
        return widget

    def load(self, file: Any, parent: Any = None) -> Any:
        root = ElementTree.fromstring(bytes(file.readAll().data()))
        connections = root.find("connections")
        if connections is not None:
            root.remove(connections)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        for connection in connections if connections is not None else ():
            _connect(widget, {part.tag: part.text or "" for part in connection})
        return widget


def _connect(root: Any, connection: dict[str, str]) -> None:
    everyone = {child.property("objectName"): child for child in [root, *root.findChildren(qt.QWidget)]}
    receiver = everyone[connection["receiver"]]
    slot = getattr(receiver, connection["slot"].split("(")[0])
    _signal(everyone[connection["sender"]], connection["signal"]).connect(slot)


def application() -> Any:
    """The one Qt application of this process."""
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["rig"])


class QTimer(wrapped(QtCore.QTimer)):
    """Slicer puts a function of its own in the place of the property."""

    singleShot = staticmethod(QtCore.QTimer.singleShot)


def keep_settings_in(folder: str) -> None:
    """Where `qt.QSettings` writes, in place of the user's own settings."""
    QtCore.QCoreApplication.setOrganizationName("JointRegSegRig")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, folder)


class QFileDialog(wrapped(QtWidgets.QFileDialog)):
    """PythonQt gives the chosen name alone, without the filter that PySide adds."""

    @staticmethod
    def getOpenFileName(*arguments: Any) -> str:
        return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]


def install() -> types.ModuleType:
    """Put `qt` into `sys.modules` and start the Qt application."""
    application()
    qt.QUiLoader = QUiLoader
    qt.QFileDialog, qt.QTimer = QFileDialog, QTimer
    sys.modules["qt"] = qt
    return qt
