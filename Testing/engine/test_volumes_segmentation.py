"""Slicer's segmentation files: our own, Slicer's, several layers and overlaps."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import Label, LabelMap, LabelTable, read_label_map, write_segmentation
from JointRegSegLib.volumes.terminology import from_entry, to_entry
from Testing.engine.volume_cases import GRID, TABLE, check_error, labels, save
from Testing.rig.need import need

LIVER = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
    "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
)
ABSENT = Label(400, "in the atlas alone", (9, 8, 7))


@pytest.fixture
def slicer() -> ModuleType:
    return need("slicer", "slicer-core")


def test_names_colours_values_and_terminology_come_back(tmp_path: Path) -> None:
    label_map = labels()
    write_segmentation(tmp_path / "s.seg.nrrd", label_map)
    found = read_label_map(tmp_path / "s.seg.nrrd")
    assert np.array_equal(found.array, label_map.array)
    assert found.grid.same_as(GRID, 1e-9)
    assert list(found.table.values()) == list(TABLE.values())


def test_voxels_without_a_label_keep_a_segment(tmp_path: Path) -> None:
    array = labels().array.copy()
    array[0, 0, 0] = 12
    write_segmentation(tmp_path / "s.seg.nrrd", LabelMap(array, GRID, TABLE))
    found = read_label_map(tmp_path / "s.seg.nrrd")
    assert np.array_equal(found.array, array)
    assert found.table[12] == Label.default(12)


def test_a_given_table_goes_before_the_file_s_own(tmp_path: Path) -> None:
    write_segmentation(tmp_path / "s.seg.nrrd", labels())
    (tmp_path / "t.csv").write_text("7,ren sinister\n")
    found = read_label_map(tmp_path / "s.seg.nrrd", tmp_path / "t.csv")
    assert [label.name for label in found.table.values()] == ["ren sinister", "liver, right lobe", "Nebenniere größer"]


def test_layers_that_do_not_overlap_become_one_map(tmp_path: Path) -> None:
    found = read_label_map(_layers(tmp_path / "s.seg.nrrd", overlap=False))
    assert {(label.value, label.name) for label in found.table.values()} == {(1, "liver"), (3, "tumour"), (2, "spleen")}
    assert found.array[1, 1, 1] == 1
    assert found.array[3, 3, 3] == 3
    assert found.array[4, 5, 6] == 2
    assert (found.array > 0).sum() == 8 + 8 + 1


def test_overlapping_segments_are_named(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_label_map(_layers(tmp_path / "s.seg.nrrd", overlap=True))
    check_error(caught.value, Code.SEGMENTS_OVERLAP, "“liver”", "“tumour”")


def test_two_segments_with_one_value_in_one_layer_overlap(tmp_path: Path) -> None:
    header = {**_segment(0, "a", 4, 0), **_segment(1, "b", 4, 0)}
    with pytest.raises(JobError) as caught:
        read_label_map(save(tmp_path / "s.seg.nrrd", np.full(GRID.shape, 4, np.uint8), **header))
    check_error(caught.value, Code.SEGMENTS_OVERLAP, "“a”", "“b”")


def test_files_without_values_and_layers_have_one_segment_a_layer(tmp_path: Path) -> None:
    array = np.zeros((*GRID.shape, 2), np.uint8)
    array[1, 2, 3, 0] = array[2, 3, 4, 1] = 1
    header = {"Segment0_ID": "x", "Segment0_Name": "first", "Segment1_ID": "y", "Segment1_Name": "second"}
    found = read_label_map(save(tmp_path / "old.seg.nrrd", array, vectors=True, **header))
    assert found.table[int(found.array[1, 2, 3])].name == "first"
    assert found.table[int(found.array[2, 3, 4])].name == "second"


@pytest.mark.parametrize(
    ("key", "wrong"), [("LabelValue", "zero"), ("LabelValue", "0"), ("Layer", "1"), ("Color", "1 0")]
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path: Path, key: str, wrong: str) -> None:
    header = _segment(0, "a", 1, 0) | {f"Segment0_{key}": wrong}
    with pytest.raises(JobError) as caught:
        read_label_map(save(tmp_path / "s.seg.nrrd", np.ones(GRID.shape, np.uint8), **header))
    check_error(caught.value, Code.LABEL_TABLE_INVALID, "Segment number 0", "s.seg.nrrd")


def test_terminology_entries_and_columns_say_the_same() -> None:
    columns = from_entry(LIVER)
    assert columns["Category_CodeMeaning"] == "Anatomical Structure"
    assert columns["Type_CodeValue"] == "10200004"
    assert "RegionModifier_CodeValue" not in columns
    assert to_entry(columns) == LIVER
    other = LIVER.replace("Segmentation category and type - 3D Slicer General Anatomy list", "my list")
    assert to_entry(from_entry(other)) == other
    assert from_entry("x~^^~^^~^^~y~^^~^^") == {}
    assert to_entry({"Type_CodeMeaning": "a|b~c^d"}).split("~")[2] == "^^a b c d"


@pytest.mark.mrml
def test_slicer_reads_what_is_written(tmp_path: Path, slicer: ModuleType) -> None:
    table = LabelTable(
        [Label(1, "liver, right lobe", (221, 130, 101), from_entry(LIVER)), TABLE[7], TABLE[300], ABSENT]
    )
    array = labels().array.copy()
    array[0, 0, 0] = 12
    write_segmentation(tmp_path / "s.seg.nrrd", LabelMap(array, GRID, table))
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "s.seg.nrrd"))
    assert storage.ReadData(node)
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetNthSegment(number) for number in range(segmentation.GetNumberOfSegments())]
    labels_read = [
        (s.GetLabelValue(), s.GetName(), tuple(round(channel * 255) for channel in s.GetColor())) for s in segments
    ]
    expected = [*table.values(), Label.default(12)]
    assert labels_read == [(label.value, label.name, label.color) for label in expected]
    assert segments[0].GetTerminology() == LIVER
    for segment in segments:
        image = segment.GetRepresentation("Binary labelmap")
        voxels = _voxels_on_grid(image)
        assert np.array_equal(voxels == segment.GetLabelValue(), array == segment.GetLabelValue())


@pytest.mark.mrml
@pytest.mark.parametrize("overlap", [False, True])
def test_what_slicer_writes_is_read(tmp_path: Path, slicer: ModuleType, overlap: bool) -> None:
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    boxes = {"liver": np.s_[1:3, 1:3, 1:3], "tumour": np.s_[2:4, 2:4, 2:4] if overlap else np.s_[3:5, 3:5, 3:5]}
    for name, box in boxes.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.SetColor(1.0, 0.4, 0.2)
        segment.SetLabelValue(1)
        segment.SetTag("TerminologyEntry", LIVER)
        segment.AddRepresentation("Binary labelmap", _oriented_image(slicer, box))
        node.GetSegmentation().AddSegment(segment)
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "s.seg.nrrd"))
    assert storage.WriteData(node)
    if overlap:
        with pytest.raises(JobError) as caught:
            read_label_map(tmp_path / "s.seg.nrrd")
        check_error(caught.value, Code.SEGMENTS_OVERLAP, "“liver”", "“tumour”")
        return
    found = read_label_map(tmp_path / "s.seg.nrrd")
    assert [label.name for label in found.table.values()] == ["liver", "tumour"]
    assert {label.color for label in found.table.values()} == {(255, 102, 51)}
    assert found.table[1].terminology["Type_CodeMeaning"] == "Liver"
    for label, box in zip(found.table.values(), boxes.values(), strict=True):
        k, j, i = (np.arange(axis.start, axis.stop) for axis in box)
        expected = {tuple(np.round(GRID.to_lps((c, b, a)), 4)) for a in k for b in j for c in i}
        indices = np.argwhere(found.array == label.value)[:, ::-1]
        assert {tuple(point) for point in np.round(found.grid.to_lps(indices), 4)} == expected


def _segment(number: int, name: str, value: int, layer: int) -> dict[str, str]:
    fields = {"ID": f"S{number}", "Name": name, "Color": "1 0.5 0", "LabelValue": str(value), "Layer": str(layer)}
    return {f"Segment{number}_{key}": text for key, text in fields.items()}


def _layers(path: Path, overlap: bool) -> Path:
    """Layer 0 holds liver (1) and spleen (2), layer 1 tumour, whose value is 1 as well."""
    array = np.zeros((*GRID.shape, 2), np.uint8)
    array[1:3, 1:3, 1:3, 0] = 1
    array[4, 5, 6, 0] = 2
    start = 2 if overlap else 3
    array[start : start + 2, start : start + 2, start : start + 2, 1] = 1
    header = {**_segment(0, "liver", 1, 0), **_segment(1, "tumour", 1, 1), **_segment(2, "spleen", 2, 0)}
    return save(path, array, vectors=True, **header)


def _oriented_image(slicer: ModuleType, box: tuple[slice, ...]) -> object:
    from vtk import VTK_UNSIGNED_CHAR, vtkMatrix4x4
    from vtk.util.numpy_support import vtk_to_numpy

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*GRID.size)
    image.AllocateScalars(VTK_UNSIGNED_CHAR, 1)
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(GRID.shape)
    voxels[:] = 0
    voxels[box] = 1
    matrix = vtkMatrix4x4()
    matrix.DeepCopy((np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.matrix).ravel().tolist())
    image.SetImageToWorldMatrix(matrix)
    return image


def _voxels_on_grid(image: object) -> np.ndarray:
    """The labelmap of a segment, put back into an array of the whole GRID by its extent."""
    from vtk.util.numpy_support import vtk_to_numpy

    low_i, high_i, low_j, high_j, low_k, high_k = image.GetExtent()
    part = vtk_to_numpy(image.GetPointData().GetScalars())
    whole = np.zeros(GRID.shape, part.dtype)
    shape = (high_k - low_k + 1, high_j - low_j + 1, high_i - low_i + 1)
    whole[low_k : high_k + 1, low_j : high_j + 1, low_i : high_i + 1] = part.reshape(shape)
    return whole


def test_the_written_file_is_a_plain_3d_label_map_too(tmp_path: Path) -> None:
    write_segmentation(tmp_path / "s.seg.nrrd", labels())
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "s.seg.nrrd"))), labels().array)
