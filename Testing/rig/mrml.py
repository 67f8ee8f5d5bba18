"""A MRML scene as Slicer's application would set it up, made from `slicer-core` alone."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import slicer
import vtk

from .application import Application, Files, Module

_LOGICS = {
    "colors": "vtkSlicerColorLogic",
    "volumes": "vtkSlicerVolumesLogic",
    "transforms": "vtkSlicerTransformLogic",
    "subjecthierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "segmentations": "vtkSlicerSegmentationsModuleLogic",
    "markups": "vtkSlicerMarkupsLogic",
    "models": "vtkSlicerModelsLogic",
    "plots": "vtkSlicerPlotsLogic",
    "tables": "vtkSlicerTablesLogic",
    "texts": "vtkSlicerTextsLogic",
    "units": "vtkSlicerUnitsLogic",
    "sequences": "vtkSlicerSequencesLogic",
    "volumerendering": "vtkSlicerVolumeRenderingLogic",
}
_SHARE = "share/Slicer-5.13"


class Rig:
    """One scene, the application logic, the module logics, and stand-ins of `slicer.app` and `slicer.modules`.

    Making a rig sets `slicer.mrmlScene`, `slicer.app` and `slicer.modules`, so that `slicer.util` works on its scene.
    A process needs one; `clear` gives it back as new.

    Args:
        folder: an existing folder for temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.logics: dict[str, Any] = {name: getattr(slicer, cls)() for name, cls in _LOGICS.items()}
        self._connect_storage()
        self._connect_logics()
        self._connect_slicer()

    def clear(self) -> None:
        """Empty the scene as File > Close Scene does: singleton nodes (colors, views) stay."""
        self.scene.Clear(0)
        self._add_defaults()

    def _connect_storage(self) -> None:
        cache = slicer.vtkCacheManager()
        cache.SetRemoteCacheDirectory(str(self.folder / "cache"))
        transfers = slicer.vtkDataIOManager()
        transfers.SetCacheManager(cache)
        self.scene.SetCacheManager(cache)
        self.scene.SetDataIOManager(transfers)

    def _connect_logics(self) -> None:
        colors = self.folder / "home" / _SHARE / "ColorFiles"
        colors.mkdir(parents=True)
        (colors / "GenericColors.txt").write_text(_generic_colors(), encoding="utf-8")
        self.application_logic.SetHomeDirectory(str(self.folder / "home"))
        self.application_logic.SetShareDirectory(_SHARE)
        self.application_logic.SetMRMLScene(self.scene)
        self.application_logic.SetSliceLogics(vtk.vtkCollection())
        self.application_logic.SetViewLogics(vtk.vtkCollection())
        for name, logic in self.logics.items():
            logic.SetMRMLApplicationLogic(self.application_logic)
            self.application_logic.SetModuleLogic(name.capitalize(), logic)
        for logic in self.logics.values():
            logic.SetMRMLScene(self.scene)  # last, because it registers the module's node classes
        self._add_defaults()

    def _connect_slicer(self) -> None:
        modules = types.ModuleType("slicer.modules")
        for name, logic in self.logics.items():
            setattr(modules, name, Module(name, logic))
        files = Files(self.scene, self.logics)
        sys.modules["slicer.modules"] = modules
        slicer.modules = modules
        slicer.mrmlScene = self.scene
        slicer.app = Application(self.scene, self.application_logic, files, self.folder)

    def _add_defaults(self) -> None:
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        if self.scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode") is None:
            self.scene.AddNewNodeByClass("vtkMRMLSubjectHierarchyNode")


def _generic_colors() -> str:
    """A stand-in of the color table that Slicer gives to label maps by default."""
    rows = [f"{i} region_{i} {60 + i * 53 % 196} {60 + i * 97 % 196} {60 + i * 151 % 196} 255" for i in range(1, 256)]
    return "\n".join(["# Color table file", "0 background 0 0 0 0", *rows, ""])
