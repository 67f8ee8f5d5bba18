"""Markups files: points in LPS mm whatever the file's convention, and pairs by label or by order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import Points, paired, read_points

_LPS = np.array([[1.0, 2.0, 3.0], [-4.0, 5.5, 6.0]])


def _json(path: Path, system: str | None, points: np.ndarray, statuses: tuple[str, ...] = ()) -> Path:
    control = [
        {"id": str(i), "label": f"P-{i}", "position": list(p), **({"positionStatus": statuses[i]} if statuses else {})}
        for i, p in enumerate(points)
    ]
    markups = {"type": "Fiducial", "controlPoints": control}
    if system is not None:
        markups["coordinateSystem"] = system
    path.write_text(json.dumps({"markups": [markups]}), encoding="utf-8")
    return path


@pytest.mark.parametrize(("system", "sign"), [("LPS", (1, 1, 1)), ("RAS", (-1, -1, 1))])
def test_json(system: str, sign: tuple[int, int, int], tmp_path: Path) -> None:
    points = read_points(_json(tmp_path / "points.mrk.json", system, _LPS * sign))
    assert points.labels == ("P-0", "P-1")
    assert points.lps == pytest.approx(_LPS)


def test_points_that_were_not_placed_are_left_out(tmp_path: Path) -> None:
    points = read_points(_json(tmp_path / "points.mrk.json", "LPS", _LPS, ("undefined", "defined")))
    assert points.labels == ("P-1",)


@pytest.mark.parametrize(("system", "sign"), [("LPS", 1), ("1", 1), ("RAS", -1), ("0", -1)])
def test_fcsv(system: str, sign: int, tmp_path: Path) -> None:
    text = (
        f"# Markups fiducial file version = 5.0\n# CoordinateSystem = {system}\n"
        "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
        f"1,{sign * 1.0},{sign * 2.0},3.0,0,0,0,1,1,1,0,left,,\n"
        f"2,{sign * -4.0},{sign * 5.5},6.0,0,0,0,1,1,1,0,right,,\n"
    )
    (tmp_path / "points.fcsv").write_text(text, encoding="utf-8")
    points = read_points(tmp_path / "points.fcsv")
    assert points.labels == ("left", "right")
    assert points.lps == pytest.approx(_LPS)


@pytest.mark.parametrize("text", ["", "no json", '{"markups": []}', "[]"])
def test_a_file_that_holds_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "points.mrk.json").write_text(text, encoding="utf-8")
    with pytest.raises(JobError) as caught:
        read_points(tmp_path / "points.mrk.json")
    assert caught.value.code is Code.LANDMARKS_INVALID


@pytest.mark.parametrize(("system", "told"), [(None, "does not say"), ("", "does not say"), ("IJK", "in IJK")])
def test_a_file_of_an_unknown_space_is_refused(system: str | None, told: str, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=told) as caught:
        read_points(_json(tmp_path / "points.mrk.json", system, _LPS))
    assert caught.value.code is Code.LANDMARKS_INVALID


def test_points_in_a_plane_are_refused_and_never_regrouped(tmp_path: Path) -> None:
    """Three points of two numbers have as many numbers as two points of three."""
    flat = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with pytest.raises(JobError, match="not three numbers") as caught:
        read_points(_json(tmp_path / "points.mrk.json", "LPS", flat))
    assert caught.value.code is Code.LANDMARKS_INVALID


def test_an_old_file_in_voxels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "points.fcsv").write_text("# CoordinateSystem = 2\n1,1,2,3,0,0,0,1,1,1,0,left,,\n", encoding="utf-8")
    with pytest.raises(JobError, match="in IJK"):
        read_points(tmp_path / "points.fcsv")


@pytest.mark.parametrize(
    ("line", "told"), [("1,one,2.0,3.0,0,0,0,1,1,1,0,left,,", "'one'"), ("1,1.0,2.0,3.0", "too short")]
)
def test_a_broken_line_is_told(line: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "points.fcsv").write_text(f"# CoordinateSystem = LPS\n{line}\n", encoding="utf-8")
    with pytest.raises(JobError, match=told) as caught:
        read_points(tmp_path / "points.fcsv")
    assert caught.value.code is Code.LANDMARKS_INVALID


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"# CoordinateSystem = LPS\n# columns = id,x,y,z\n1,1,2,3\n", "lack label"),
        ("1,1,2,3,0,0,0,1,1,1,0,left,,".encode("utf-16"), "not written in UTF-8"),
    ],
)
def test_a_file_that_is_no_list_of_points_is_told(written: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "points.fcsv").write_bytes(written)
    with pytest.raises(JobError, match=told) as caught:
        read_points(tmp_path / "points.fcsv")
    assert caught.value.code is Code.LANDMARKS_INVALID


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_points(tmp_path / "none.fcsv")
    assert caught.value.code is Code.FILE_MISSING
    assert "none.fcsv" in caught.value.message


def test_pairs_by_label_whatever_the_order_and_what_is_more() -> None:
    target = Points(("a", "b"), _LPS)
    atlas = Points(("c", "b", "a"), np.arange(9.0).reshape(3, 3))
    here, there = paired(target, atlas)
    assert here == pytest.approx(_LPS)
    assert there.tolist() == [[6, 7, 8], [3, 4, 5]]


def test_pairs_by_order_where_labels_differ_or_repeat() -> None:
    other = Points(("T-1", "T-2"), _LPS + 1)
    assert paired(Points(("A-1", "A-2"), _LPS), other)[1] is other.lps
    assert paired(Points(("x", "x"), _LPS), Points(("x", "x"), _LPS + 1))[1] == pytest.approx(_LPS + 1)


def test_neither_is_refused_with_the_numbers() -> None:
    with pytest.raises(JobError) as caught:
        paired(Points(("a", "b"), _LPS), Points(("c",), _LPS[:1]))
    assert caught.value.code is Code.LANDMARKS_INVALID
    assert "2 landmarks, the atlas 1" in caught.value.message
