"""The rig itself: what the tests trust, `slicer.util` on files, does what it does in the application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.rig.need import need

need("slicer", "slicer-core")
import slicer.util  # noqa: E402

pytestmark = pytest.mark.mrml

MATRIX = np.array([[0, -2.0, 0, 10], [1.5, 0, 0, -20], [0, 0, 3.0, 30], [0, 0, 0, 1]])


@pytest.fixture
def a_scan(a_volume_node: Callable[..., Any]) -> Any:
    return a_volume_node(np.arange(60, dtype=np.int16).reshape(3, 4, 5), MATRIX, "scan")


def ijk_to_ras(node: Any) -> Any:
    matrix = slicer.util.vtkMatrixFromArray(np.eye(4))
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


@pytest.mark.parametrize("ending", ["nrrd", "nii.gz", "mha"])
def test_volumes_go_through_files(a_scan: Any, tmp_path: Path, ending: str) -> None:
    assert slicer.util.saveNode(a_scan, str(tmp_path / f"scan.{ending}"))
    again = slicer.util.loadVolume(str(tmp_path / f"scan.{ending}"))
    assert np.array_equal(slicer.util.arrayFromVolume(again), slicer.util.arrayFromVolume(a_scan))
    assert np.allclose(ijk_to_ras(again), MATRIX, atol=1e-5)
    labels = slicer.util.loadLabelVolume(str(tmp_path / f"scan.{ending}"))
    assert labels.IsA("vtkMRMLLabelMapVolumeNode")


def test_export_in_world_space_applies_the_parent(a_scene: Any, a_scan: Any, tmp_path: Path) -> None:
    parent = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    shift = np.eye(4)
    shift[:3, 3] = (7, 8, 9)
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(shift))
    a_scan.SetAndObserveTransformNodeID(parent.GetID())
    for world, expected in ((True, shift @ MATRIX), (False, MATRIX)):
        file = str(tmp_path / f"world_{world}.nrrd")
        assert slicer.util.exportNode(a_scan, file, {}, world=world)
        assert np.allclose(ijk_to_ras(slicer.util.loadVolume(file)), expected)
    assert np.allclose(ijk_to_ras(a_scan), MATRIX)


def test_transforms_segmentations_and_tables_go_through_files(
    a_scene: Any, a_volume_node: Callable[..., Any], tmp_path: Path
) -> None:
    transform = a_scene.AddNewNodeByClass("vtkMRMLTransformNode", "transform")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(MATRIX))
    slicer.util.saveNode(transform, str(tmp_path / "transform.tfm"))
    again = slicer.util.loadTransform(str(tmp_path / "transform.tfm"))
    assert np.allclose(slicer.util.arrayFromTransformMatrix(again), MATRIX)

    labels = a_volume_node(np.ones((3, 4, 5), np.uint8), MATRIX, "labels", "vtkMRMLLabelMapVolumeNode")
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segmentation")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labels, segmentation)
    segmentation.GetSegmentation().GetNthSegment(0).SetName("all")
    slicer.util.saveNode(segmentation, str(tmp_path / "segmentation.seg.nrrd"))
    loaded = slicer.util.loadSegmentation(str(tmp_path / "segmentation.seg.nrrd"))
    assert loaded.GetSegmentation().GetNthSegment(0).GetName() == "all"

    table = a_scene.AddNewNodeByClass("vtkMRMLTableNode", "table")
    slicer.util.updateTableFromArray(table, np.array([1.5, 2.5]), "millimetres")
    slicer.util.saveNode(table, str(tmp_path / "table.csv"))
    assert slicer.util.loadTable(str(tmp_path / "table.csv")).GetCellText(1, 0) == "2.5"


def test_clearing_leaves_no_data_and_keeps_the_setup(a_rig: Any, a_scan: Any) -> None:
    a_rig.clear()
    assert a_rig.scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0
    assert a_rig.scene.GetNumberOfNodesByClass("vtkMRMLSubjectHierarchyNode") == 1
    assert a_rig.scene.GetNodeByID("vtkMRMLInteractionNodeSingleton") is not None
    assert a_rig.scene.GetNodeByID("vtkMRMLColorTableNodeFileGenericColors.txt") is not None
