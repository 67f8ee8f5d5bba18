"""Label maps and tables of their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import (
    Grid,
    Label,
    LabelMap,
    LabelTable,
    read_label_map,
    read_label_table,
    resample_labels_to,
    resample_volume_to,
    to_sitk,
    write_label_map,
)
from Testing.engine.volume_cases import GRID, TABLE, check_error, labels, save, scan

SLICER_CSV = """LabelValue,Name,Color_R,Color_G,Color_B,Color_A,Type_CodingScheme,Type_CodeValue,Type_CodeMeaning
0,background,0,0,0,0,,,
1,"liver, right lobe",221,130,101,255,SCT,10200004,Liver
7,left kidney,185,102,83,255,,,
"""


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd", ".mha"])
def test_a_written_label_map_comes_back(tmp_path: Path, extension: str) -> None:
    label_map = labels()
    write_label_map(tmp_path / f"labels{extension}", label_map)
    found = read_label_map(tmp_path / f"labels{extension}")
    assert found.array.dtype == np.uint16
    assert np.array_equal(found.array, label_map.array)
    assert found.grid.same_as(GRID, 1e-5)
    assert found.table == LabelTable.default([1, 7, 300])


@pytest.mark.parametrize(("value", "kind"), [(255, sitk.sitkUInt8), (256, sitk.sitkUInt16), (65535, sitk.sitkUInt16)])
def test_labels_are_stored_in_the_type_that_fits(tmp_path: Path, value: int, kind: int) -> None:
    array = np.zeros(GRID.shape, np.int32)
    array[1, 2, 3] = value
    write_label_map(tmp_path / "l.nii.gz", LabelMap(array, GRID, LabelTable.default([value])))
    assert sitk.ReadImage(str(tmp_path / "l.nii.gz")).GetPixelID() == kind
    assert read_label_map(tmp_path / "l.nii.gz").array[1, 2, 3] == value


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "uint32", "int64", "float32", "float64"])
def test_whole_numbers_of_any_type_are_labels(tmp_path: Path, kind: str) -> None:
    array = np.random.default_rng(0).integers(0, 120, GRID.shape)
    assert np.array_equal(read_label_map(save(tmp_path / "l.nrrd", array.astype(kind))).array, array)


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ([0.0, 1.0, 2.5], Code.LABELS_NOT_INTEGER, "2.5"),
        ([0.0, 1.0, -3.0], Code.LABELS_NEGATIVE, "-3"),
        ([0, 1, -3], Code.LABELS_NEGATIVE, "-3"),
        ([0, 1, 65536], Code.LABELS_TOO_LARGE, "65536"),
        ([0, 0, 0], Code.LABELS_EMPTY, "all are 0"),
        ([0.0, 1.0, np.nan], Code.NOT_FINITE, "70 values"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path: Path, values: list[float], code: Code, words: str) -> None:
    array = np.resize(np.array(values), GRID.shape)
    with pytest.raises(JobError) as caught:
        read_label_map(save(tmp_path / "l.nrrd", array))
    check_error(caught.value, code, words, "l.nrrd")


def test_a_colour_image_is_no_label_map(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_label_map(save(tmp_path / "rgb.nrrd", np.ones((*GRID.shape, 3), np.uint8), vectors=True))
    check_error(caught.value, Code.NOT_3D, "3 values")


def test_a_given_table_names_the_values_that_are_there(tmp_path: Path) -> None:
    write_label_map(tmp_path / "l.nii.gz", labels())
    (tmp_path / "t.csv").write_text("value,name\n300,adrenal\n5,spleen\n1,liver\n")
    table = read_label_map(tmp_path / "l.nii.gz", tmp_path / "t.csv").table
    assert [(label.value, label.name) for label in table.values()] == [(300, "adrenal"), (1, "liver"), (7, "label 7")]


def test_a_colour_table_of_slicer_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeff" + SLICER_CSV, encoding="utf-8")
    terminology = {"Type_CodingScheme": "SCT", "Type_CodeValue": "10200004", "Type_CodeMeaning": "Liver"}
    assert list(read_label_table(tmp_path / "t.csv").values()) == [
        Label(1, "liver, right lobe", (221, 130, 101), terminology),
        Label(7, "left kidney", (185, 102, 83)),
    ]


@pytest.mark.parametrize("name", ["t.ctbl", "t.txt"])
def test_a_ctbl_is_read_with_spaces_for_underscores(tmp_path: Path, name: str) -> None:
    text = (
        "# Color table file t.ctbl\n# 3 values\n0 background 0 0 0 0\n1 right_lobe 221 130 101 255\n300 x 1 2 3 255\n"
    )
    (tmp_path / name).write_text(text)
    expected = [Label(1, "right lobe", (221, 130, 101)), Label(300, "x", (1, 2, 3))]
    assert list(read_label_table(tmp_path / name).values()) == expected


@pytest.mark.parametrize(
    "text",
    ["1,liver\n7,left kidney\n", "Value,Name,scored\n1,liver,0\n7,left kidney,1\n",
     "label;name\n1;liver\n7;left kidney\n",
     "name,value\nliver,1\nleft kidney,7\n", "# mine\n\n1\tliver\n7\tleft kidney\n"],
    ids=["no header", "further column", "semicolon", "other order", "tab"],
)  # fmt: skip
def test_plain_lists_of_value_and_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    table = read_label_table(tmp_path / "t.csv")
    assert [(label.value, label.name) for label in table.values()] == [(1, "liver"), (7, "left kidney")]
    assert table[1].color == Label.default(1).color


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("value,name\n1,liver\n-2,x\n", "Line 3"),
        ("value,name\n1,liver\n1,x\n", "second time"),
        ("value,name\n1.5,x\n", "1.5"),
        ("value,name\n65536,x\n", "65536"),
        ("value,name\n,x\n", "Line 2"),
        ("name,colour\nx,red\n", "LabelValue"),
        ("LabelValue,Name,Color_R,Color_G,Color_B\n1,x,0,256,0\n", "256"),
        ("1 liver red green blue 255\n", "red"),
        ("liver\n", "liver"),
        ("1 liver 0 0\n", "Line 1"),
        ("", "names no label"),
        ("0,background\n", "names no label"),
        ("a\0b", "text file"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(JobError) as caught:
        read_label_table(tmp_path / "t.csv")
    check_error(caught.value, Code.LABEL_TABLE_INVALID, words, "t.csv")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_label_table(tmp_path / "t.csv")
    check_error(caught.value, Code.FILE_MISSING, "t.csv")


def test_a_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_label_table(tmp_path)
    check_error(caught.value, Code.FILE_UNREADABLE, tmp_path)


def test_default_colours_are_distinct_and_belong_to_the_value() -> None:
    table = LabelTable.default(range(1, 501))
    assert len({label.color for label in table.values()}) == 500
    assert LabelTable.default([77])[77] == table[77]
    neighbours = np.array([table[value].color for value in range(1, 60)], float)
    distances = np.linalg.norm(neighbours[:, None] - neighbours[None], axis=-1) + 1e3 * np.eye(len(neighbours))
    assert distances.min() > 10


def test_a_table_keeps_its_order_and_refuses_doubles() -> None:
    assert list(TABLE) == [7, 1, 300]
    assert list(TABLE.restricted([2, 1, 7])) == [7, 1, 2]
    with pytest.raises(ValueError, match="7 occurs twice"):
        LabelTable([TABLE[7], TABLE[7]])


def test_resampling_agrees_with_simpleitk() -> None:
    target = Grid((9, 8, 7), (0.7, 0.9, 1.9), (11.0, -30.0, 45.0))
    volume, label_map = scan(), labels()
    for found, image, how in (
        (resample_volume_to(volume, target, -5.0), to_sitk(volume.array, GRID), sitk.sitkLinear),
        (resample_labels_to(label_map, target), to_sitk(label_map.array, GRID), sitk.sitkNearestNeighbor),
    ):
        default = -5.0 if how == sitk.sitkLinear else 0.0
        expected = sitk.Resample(image, target.empty_image(), sitk.Transform(), how, default)
        assert found.grid is target
        assert np.array_equal(found.array, sitk.GetArrayViewFromImage(expected))
    assert resample_labels_to(label_map, target).table is TABLE


def test_resampling_labels_of_a_finer_grid_takes_the_nearest() -> None:
    array = np.zeros((4, 4, 4), np.uint16)
    array[2, 1, 3] = 300
    coarse = LabelMap(array, Grid((4, 4, 4), (3.0, 3.0, 3.0)), TABLE)
    fine = resample_labels_to(coarse, Grid((12, 12, 12), origin=(-1.0, -1.0, -1.0)))
    assert np.argwhere(fine.array == 300).min(0).tolist() == [6, 3, 9]
    assert (fine.array == 300).sum() == 27
