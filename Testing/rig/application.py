"""Stand-ins of what only the Slicer application has: `slicer.app`, `slicer.modules` and the choice of a file's reader.

The nodes, storage nodes and module logics behind them are Slicer's own (`slicer-core`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_COMPOUND = (".nii.gz", ".seg.nrrd", ".seg.nhdr", ".mrk.json")
_FILE_TYPES = {
    ".h5": "TransformFile",
    ".tfm": "TransformFile",
    ".mat": "TransformFile",
    ".seg.nrrd": "SegmentationFile",
    ".mrk.json": "MarkupsFile",
    ".ctbl": "ColorTableFile",
    ".csv": "TableFile",
    ".tsv": "TableFile",
    ".vtk": "ModelFile",
    ".vtp": "ModelFile",
    ".mrml": "SceneFile",
    ".mrb": "SceneFile",
}
_VOLUME_EXTENSIONS = (".nrrd", ".nii.gz", ".nii", ".mha", ".mhd")


def extension(name: str) -> str:
    """The file name's extension in lower case; '.seg.nrrd' and its like count as one."""
    low = name.lower()
    return next((ending for ending in _COMPOUND if low.endswith(ending)), Path(low).suffix)


class Module:
    """Stand-in of one entry of `slicer.modules`."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


class Files:
    """Stand-in of `slicer.app.coreIOManager()`: sends a file to the logic or storage node that knows its type."""

    def __init__(self, scene: Any, logics: Mapping[str, Any]) -> None:
        self._scene = scene
        self._logics = logics

    def fileType(self, filename: str) -> str:
        return _FILE_TYPES.get(extension(filename), "VolumeFile")

    def extractKnownExtension(self, filename: str, node: Any) -> str:
        return extension(filename)

    def fileWriterFileType(self, node: Any) -> str:
        return "NodeFile"

    def fileWriterExtensions(self, node: Any) -> list[str]:
        storage = node.CreateDefaultStorageNode()
        types = storage.GetSupportedWriteFileTypes() if storage is not None else None
        found = [types.GetValue(i) for i in range(types.GetNumberOfValues())] if types is not None else []
        return found or [f"Volume ({ending})" for ending in _VOLUME_EXTENSIONS]

    def loadNodes(
        self, file_type: str, properties: Mapping[str, Any], loaded: Any = None, messages: Any = None
    ) -> bool:
        file = str(properties["fileName"])
        if file_type == "SceneFile":
            return self._load_scene(file)
        node = self._load_node(file_type, file, properties)
        if node is not None and loaded is not None:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(self, file_type: str, properties: Mapping[str, Any], messages: Any = None) -> bool:
        file = str(properties["fileName"])
        if file_type == "SceneFile":
            return self._save_scene(file)
        node = self._scene.GetNodeByID(properties["nodeID"])
        storage = node.GetStorageNode()
        if storage is None or not storage.SupportedFileType(file):
            node.AddDefaultStorageNode(file)
            storage = node.GetStorageNode()
        return storage is not None and _write(storage, node, file, properties)

    def exportNodes(
        self, ids: Any, files: Any, properties: Mapping[str, Any], harden: bool, messages: Any = None
    ) -> bool:
        return all(
            self._export(self._scene.GetNodeByID(i), f, properties, harden) for i, f in zip(ids, files, strict=True)
        )

    def _load_scene(self, file: str) -> bool:
        if file.endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(file, True))
        self._scene.SetURL(file)
        return bool(self._scene.Connect())

    def _save_scene(self, file: str) -> bool:
        if file.endswith(".mrb"):
            return bool(self._scene.WriteToMRB(file))
        self._scene.SetRootDirectory(str(Path(file).parent))
        return bool(self._scene.Commit(file))

    def _load_node(self, file_type: str, file: str, properties: Mapping[str, Any]) -> Any:
        name = properties.get("name") or Path(file).name.split(".")[0]
        if file_type == "VolumeFile":
            return self._logics["volumes"].AddArchetypeVolume(file, name, int(bool(properties.get("labelmap"))))
        if file_type == "TransformFile":
            return self._logics["transforms"].AddTransform(file, self._scene)
        if file_type == "SegmentationFile":
            return self._logics["segmentations"].LoadSegmentationFromFile(file, True, name)
        if file_type == "ColorTableFile":
            return self._logics["colors"].LoadColorFile(file, name)
        if file_type == "TableFile":
            return self._logics["tables"].AddTable(file, name)
        if file_type == "ModelFile":
            return self._logics["models"].AddModel(file)
        return self._scene.GetNodeByID(self._logics["markups"].LoadMarkups(file, name) or "")

    def _export(self, node: Any, file: str, properties: Mapping[str, Any], harden: bool) -> bool:
        copy = self._scene.AddNewNodeByClass(node.GetClassName(), node.GetName())
        copy.CopyContent(node)
        if harden and node.IsA("vtkMRMLTransformableNode"):
            copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
            copy.HardenTransform()
        storage = self._scene.AddNode(copy.CreateDefaultStorageNode())
        written = _write(storage, copy, file, properties)
        for added in (storage, copy):
            self._scene.RemoveNode(added)
        return written


class Application:
    """Stand-in of `slicer.app`, as far as `slicer.util` and this project ask it."""

    applicationName = "SlicerCoreRig"
    slicerHome = ""
    majorVersion, minorVersion = 5, 13

    def __init__(self, scene: Any, logic: Any, files: Files, folder: Path) -> None:
        self._scene = scene
        self._logic = logic
        self._files = files
        self.temporaryPath = str(folder)

    def coreIOManager(self) -> Files:
        return self._files

    def ioManager(self) -> Files:
        return self._files

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._logic

    def layoutManager(self) -> None:
        return None

    def testingEnabled(self) -> bool:
        return True

    def processEvents(self, *flags: Any) -> None:
        """There is no event loop here."""

    def pauseRender(self) -> None:
        """There are no views here that render by themselves."""

    def resumeRender(self) -> None:
        """The other half of pauseRender."""

    def setOverrideCursor(self, *cursor: Any) -> None:
        """There is no mouse here."""

    def restoreOverrideCursor(self) -> None:
        """The other half of setOverrideCursor."""

    def translate(self, context: str, text: str) -> str:
        return text

    def commandOptions(self) -> SimpleNamespace:
        return SimpleNamespace(noMainWindow=True)


def _write(storage: Any, node: Any, file: str, properties: Mapping[str, Any]) -> bool:
    storage.SetFileName(str(file))
    if "useCompression" in properties:
        storage.SetUseCompression(int(properties["useCompression"]))
    return bool(storage.WriteData(node))
