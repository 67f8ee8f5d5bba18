"""A result becomes nodes that say what its files say, or the scene stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.job import result as files
from JointRegSegLib.volumes import (
    Label,
    LabelMap,
    LabelTable,
    read_field,
    read_label_map,
    read_volume,
    write_affine,
    write_field,
    write_segmentation,
    write_volume,
)
from Testing.rig.need import need
from Testing.scene.results import ATLAS_GRID, MANIFEST, QUALITY, TABLE, TARGET_GRID, FinishedRun, finished_run

need("slicer", "slicer-core")
import slicer.util  # noqa: E402
import vtk  # noqa: E402

from JointRegSegLib.scene import Grids, RunNodes, load_result, show, show_grid  # noqa: E402

pytestmark = pytest.mark.mrml

FLIP = np.diag((-1.0, -1.0, 1.0, 1.0))


@pytest.fixture
def a_run(tmp_path: Path) -> FinishedRun:
    """For tests that damage files."""
    return finished_run(tmp_path)


@pytest.fixture
def a_target(the_run: FinishedRun, a_volume_node: Callable[..., Any]) -> Any:
    return a_volume_node(read_volume(the_run.request.target).array, FLIP @ TARGET_GRID.matrix, "scan 42")


@pytest.fixture
def an_atlas(the_run: FinishedRun, a_volume_node: Callable[..., Any]) -> Any:
    scan = read_volume(the_run.request.atlases[0].image)
    return a_volume_node(scan.array, FLIP @ ATLAS_GRID.matrix, "template")


@pytest.fixture
def a_loaded_run(a_scene: Any, the_run: FinishedRun, a_target: Any, an_atlas: Any) -> RunNodes:
    return load_result(
        a_scene,
        the_run.result,
        target_id=a_target.GetID(),
        atlas_id=an_atlas.GetID(),
        grids=Grids.of(the_run.request),
    )


def node_ids(scene: Any) -> list[str]:
    return [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())]


def segments_of(node: Any) -> dict[str, tuple[int, str, tuple[int, ...]]]:
    segmentation = node.GetSegmentation()
    found = {}
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        color = tuple(round(255 * channel) for channel in segment.GetColor())
        found[segment_id] = (segment.GetLabelValue(), segment.GetName(), color)
    return found


def wanted_segments() -> dict[str, tuple[int, str, tuple[int, ...]]]:
    return {f"Segment_{v}": (v, label.name, label.color) for v, label in TABLE.items()}


def voxels_of_segments(node: Any, reference: Any) -> Any:
    """The segmentation on a volume's grid, by Slicer's own export, with the segments' label values."""
    merged = np.zeros(slicer.util.arrayFromVolume(reference).shape, np.uint16)
    for segment_id, (value, _, _) in segments_of(node).items():
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, reference)
        merged[mask > 0] = value
    return merged


def points_in(grid: Any, count: int = 300) -> Any:
    return grid.to_lps(np.random.default_rng(8).uniform(0, np.asarray(grid.size) - 1.0, (count, 3)))


def through(node: Any, points: Any) -> Any:
    mapping = node.GetTransformFromParent()
    return np.array([mapping.TransformPoint(p) for p in (points * (-1, -1, 1)).tolist()]) * (-1, -1, 1)


def assert_says_the_same(scene: Any, run: FinishedRun, loaded: RunNodes, tolerance_mm: float) -> None:
    labels, segmentation = scene.GetNodeByID(loaded.labels), scene.GetNodeByID(loaded.segmentation)
    wanted = read_label_map(run.result.path(files.LABELS)).array
    assert np.array_equal(slicer.util.arrayFromVolume(labels), wanted)
    assert segments_of(segmentation) == wanted_segments()
    assert np.array_equal(voxels_of_segments(segmentation, labels), wanted)
    roof = segmentation.GetSegmentation().GetSegment("Segment_300")
    assert "SCT^123037004^Anatomical Structure" in roof.GetTerminology()
    assert "Roof" in roof.GetTerminology()
    colors = labels.GetDisplayNode().GetColorNode()
    for value, label in TABLE.items():
        rgba = [0.0] * 4
        colors.GetColor(value, rgba)
        assert colors.GetColorName(value) == label.name
        assert tuple(round(255 * channel) for channel in rgba[:3]) == label.color
    warped = slicer.util.arrayFromVolume(scene.GetNodeByID(loaded.warped_atlas))
    assert np.allclose(warped, read_volume(run.result.path(files.WARPED_ATLAS)).array)
    assert np.allclose(slicer.util.arrayFromVolume(scene.GetNodeByID(loaded.jacobian)), 1.1)
    target_points, atlas_points = points_in(TARGET_GRID), points_in(ATLAS_GRID)
    to_target, to_atlas = scene.GetNodeByID(loaded.atlas_to_target), scene.GetNodeByID(loaded.target_to_atlas)
    assert np.abs(through(to_target, target_points) - run.to_atlas(target_points)).max() < tolerance_mm
    assert np.abs(through(to_atlas, atlas_points) - run.to_target(atlas_points)).max() < tolerance_mm


def test_the_nodes_say_what_the_files_say(a_scene: Any, the_run: FinishedRun, a_loaded_run: RunNodes) -> None:
    # 0.1 mm: what linear interpolation on 2 mm voxels leaves of a wave of 70 mm.
    assert_says_the_same(a_scene, the_run, a_loaded_run, tolerance_mm=0.1)


def test_everything_lies_in_the_world_on_the_target_s_grid(a_scene: Any, a_loaded_run: RunNodes) -> None:
    for node_id in (a_loaded_run.labels, a_loaded_run.warped_atlas, a_loaded_run.jacobian):
        node = a_scene.GetNodeByID(node_id)
        assert np.allclose(slicer.util.arrayFromVTKMatrix(_matrix(node)), FLIP @ TARGET_GRID.matrix, atol=1e-5)
    for node_id in astuple(a_loaded_run)[:7]:
        assert a_scene.GetNodeByID(node_id).GetParentTransformNode() is None


def _matrix(node: Any) -> Any:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_a_saved_scene_brings_everything_back(
    a_rig: Any, a_scene: Any, the_run: FinishedRun, a_loaded_run: RunNodes, tmp_path: Path
) -> None:
    names = {node_id: a_scene.GetNodeByID(node_id).GetName() for node_id in astuple(a_loaded_run)[:10]}
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    a_rig.clear()
    assert all(a_scene.GetNodeByID(node_id) is None for node_id in names)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    again = {node_id: slicer.util.getNode(name).GetID() for node_id, name in names.items()}
    reloaded = RunNodes(*again.values(), folder=a_loaded_run.folder)
    assert_says_the_same(a_scene, the_run, reloaded, tolerance_mm=0.1)
    node = a_scene.GetNodeByID(reloaded.atlas_to_target)
    assert node.GetNodeReference(node.GetMovingNodeReferenceRole()).GetName() == "template"
    hierarchy = a_scene.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    assert hierarchy.GetItemName(folder) == "JointRegSeg: scan 42"


def test_references_and_provenance(a_scene: Any, a_loaded_run: RunNodes, a_target: Any, an_atlas: Any) -> None:
    forward = a_scene.GetNodeByID(a_loaded_run.atlas_to_target)
    backward = a_scene.GetNodeByID(a_loaded_run.target_to_atlas)
    moving, fixed = forward.GetMovingNodeReferenceRole(), forward.GetFixedNodeReferenceRole()
    assert (forward.GetNodeReferenceID(moving), forward.GetNodeReferenceID(fixed)) == (
        an_atlas.GetID(),
        a_target.GetID(),
    )
    assert (backward.GetNodeReferenceID(moving), backward.GetNodeReferenceID(fixed)) == (
        a_target.GetID(),
        an_atlas.GetID(),
    )
    for key, value in MANIFEST.items():
        assert forward.GetAttribute(f"JointRegSeg.{key}") == str(value)
    segmentation = a_scene.GetNodeByID(a_loaded_run.segmentation)
    role = segmentation.GetReferenceImageGeometryReferenceRole()
    assert segmentation.GetNodeReferenceID(role) == a_target.GetID()
    drawn = a_scene.GetNodeByID(a_loaded_run.deformation)
    assert drawn.GetDisplayNode().GetRegionNode().GetID() == a_loaded_run.labels
    show_grid(drawn)
    assert drawn.GetDisplayNode().GetVisibility2D()


@pytest.mark.parametrize(("refined", "kind"), [(False, "AUTOMATIC"), (True, "SEMIAUTOMATIC")])
def test_segments_have_what_a_dicom_segmentation_needs(
    a_scene: Any, the_run: FinishedRun, a_target: Any, refined: bool, kind: str
) -> None:
    """Read as the extension QuantitativeReporting reads them; segments without codes are Slicer's Tissue."""
    loaded = load_result(a_scene, the_run.result, target_id=a_target.GetID(), refined=refined)
    node = a_scene.GetNodeByID(loaded.segmentation)
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is a_target
    meanings = {}
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segment_id)
        tags = {name: vtk.mutable("") for name in ("DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName")}
        assert all(segment.GetTag(name, value) for name, value in tags.items())
        assert [str(value) for value in tags.values()] == [kind, "JointRegSeg 0.1.0"]
        entry = slicer.vtkSlicerTerminologyEntry()
        tag = vtk.mutable("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(str(tag), entry)
        for code in (entry.GetCategoryObject(), entry.GetTypeObject()):
            assert all((code.GetCodingSchemeDesignator(), code.GetCodeValue(), code.GetCodeMeaning()))
        meanings[segment_id] = entry.GetTypeObject().GetCodeMeaning()
    assert meanings == {"Segment_5": "Tissue", "Segment_2": "Tissue", "Segment_300": "Roof"}


def test_the_quality_table_holds_every_row(a_scene: Any, a_loaded_run: RunNodes) -> None:
    table = a_scene.GetNodeByID(a_loaded_run.quality)
    columns = [table.GetColumnName(c) for c in range(table.GetNumberOfColumns())]
    assert columns == ["group", "name", "value", "unit", "status"]
    rows = [tuple(table.GetCellText(r, c) for c in range(5)) for r in range(table.GetNumberOfRows())]
    assert rows == QUALITY.rows()


def test_one_folder_beside_the_target(
    a_scene: Any, the_run: FinishedRun, a_target: Any, a_volume_node: Callable[..., Any]
) -> None:
    hierarchy = a_scene.GetSubjectHierarchyNode()
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.CreateItem(study, a_target)
    loaded = load_result(a_scene, the_run.result, target_id=a_target.GetID())
    assert hierarchy.GetItemParent(loaded.folder) == study
    assert hierarchy.GetItemName(loaded.folder) == "JointRegSeg: scan 42"
    for node_id in astuple(loaded)[:8]:
        item = hierarchy.GetItemByDataNode(a_scene.GetNodeByID(node_id))
        assert hierarchy.GetItemParent(item) == loaded.folder


def test_a_target_deleted_meanwhile_costs_only_the_references(
    a_scene: Any, the_run: FinishedRun, a_target: Any
) -> None:
    gone = a_target.GetID()
    a_scene.RemoveNode(a_target)
    loaded = load_result(a_scene, the_run.result, target_id=gone, atlas_id="vtkMRMLScalarVolumeNode99")
    assert_says_the_same(a_scene, the_run, loaded, tolerance_mm=0.1)
    forward = a_scene.GetNodeByID(loaded.atlas_to_target)
    assert forward.GetNodeReferenceID(forward.GetFixedNodeReferenceRole()) is None


def test_removing_a_run_leaves_the_scene_as_before(a_scene: Any, the_run: FinishedRun, a_target: Any) -> None:
    before = node_ids(a_scene)
    loaded = load_result(a_scene, the_run.result, target_id=a_target.GetID())
    other = load_result(a_scene, the_run.result, target_id=a_target.GetID())
    hierarchy = a_scene.GetSubjectHierarchyNode()
    jacobian = a_scene.GetNodeByID(loaded.jacobian)
    a_scene.RemoveNode(jacobian.GetDisplayNode())
    hierarchy.RemoveItem(hierarchy.GetItemByDataNode(jacobian))
    assert a_scene.GetNodeByID(loaded.jacobian) is None
    loaded.remove(a_scene)
    assert segments_of(a_scene.GetNodeByID(other.segmentation)) == wanted_segments()
    other.remove(a_scene)
    assert [node_id for node_id in node_ids(a_scene) if node_id not in before] == []
    left = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), left, True)
    assert left.GetNumberOfIds() == 0


def test_half_known_terminology_does_not_spoil_the_saved_scene(
    a_rig: Any, a_scene: Any, a_run: FinishedRun, tmp_path: Path
) -> None:
    half = Label(2, "right part", (1, 2, 3), {"Type_CodeMeaning": "Liver"})
    labels = read_label_map(a_run.result.path(files.SEGMENTATION))
    table = LabelTable([half]).completed(labels.table.values())
    write_segmentation(a_run.result.path(files.SEGMENTATION), LabelMap(labels.array, labels.grid, table))
    load_result(a_scene, a_run.result)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    a_rig.clear()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    segment = slicer.util.getNode("target segmentation").GetSegmentation().GetSegment("Segment_2")
    assert "^^Liver" in segment.GetTerminology()


def _other_grid(run: FinishedRun) -> None:
    volume = read_volume(run.result.path(files.WARPED_ATLAS))
    write_volume(run.result.path(files.WARPED_ATLAS), volume.array[1:], TARGET_GRID.box((0, 0, 0), (40, 36, 29)))


def _not_finite(run: FinishedRun) -> None:
    vectors, grid = read_field(run.result.path(files.FIELD))
    vectors[3, 4, 5, 1] = np.inf
    write_field(run.result.path(files.FIELD), vectors, grid)


def _cut_field(run: FinishedRun) -> None:
    path = run.result.path(files.FIELD_INVERSE)
    path.write_bytes(path.read_bytes()[:-5000])


def _flat_affine(run: FinishedRun) -> None:
    write_affine(run.result.path(files.AFFINE), np.diag((1.0, 1.0, 0.0, 1.0)))


def _other_target(run: FinishedRun) -> None:
    write_volume(run.request.target, np.ones((30, 36, 39), np.float32), TARGET_GRID.box((0, 0, 0), (39, 36, 30)))


def _missing(run: FinishedRun) -> None:
    run.result.path(files.LABELS).unlink()


def _other_atlas(run: FinishedRun) -> None:
    write_volume(
        run.request.atlases[0].image, np.ones((38, 40, 43), np.float32), ATLAS_GRID.box((0, 0, 0), (43, 40, 38))
    )


@pytest.mark.parametrize(
    "damage", [_other_grid, _not_finite, _cut_field, _flat_affine, _other_target, _other_atlas, _missing]
)
def test_a_damaged_result_leaves_the_scene_untouched(
    a_scene: Any, a_run: FinishedRun, a_target: Any, damage: Callable[[FinishedRun], None]
) -> None:
    damage(a_run)
    before = node_ids(a_scene)
    with pytest.raises(JobError) as problem:
        load_result(a_scene, a_run.result, target_id=a_target.GetID(), grids=Grids.of(a_run.request))
    assert problem.value.code is Code.RESULT_INVALID
    assert node_ids(a_scene) == before
    assert not a_scene.IsBatchProcessing()


def test_slice_views_get_the_target_and_the_atlas(a_scene: Any, a_loaded_run: RunNodes, a_target: Any) -> None:
    singletons = a_scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    composite = a_scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    assert show(a_scene, a_loaded_run, a_target.GetID(), 0.3) == singletons + 1
    assert composite.GetBackgroundVolumeID() == a_target.GetID()
    assert composite.GetForegroundVolumeID() == a_loaded_run.warped_atlas
    assert composite.GetForegroundOpacity() == 0.3
