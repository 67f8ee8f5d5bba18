"""Points that a user placed in a scan, from the files in which Slicer keeps them, and the same points in two scans."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..job.errors import Code, JobError

_TO_LPS = {
    "LPS": np.array([1.0, 1.0, 1.0]),
    "RAS": np.array([-1.0, -1.0, 1.0]),
}
_OLD_CODES = {"0": "RAS", "1": "LPS", "2": "IJK"}
_FCSV_COLUMNS = "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label"
_ADVICE = "Save the points from Slicer's Markups as .mrk.json or .fcsv."


@dataclass(frozen=True)
class Points:
    """Labelled points.

    Attributes:
        labels: what the user calls them.
        lps: (n, 3) in LPS mm.
    """

    labels: tuple[str, ...]
    lps: NDArray[np.float64]


def read_points(path: Path) -> Points:
    """The points in a markups file of Slicer (.mrk.json, .fcsv); those that were not placed are left out.

    Raises `JobError`: FILE_MISSING, or LANDMARKS_INVALID where the file is none, has no points, or says no space.
    """
    if not path.is_file():
        raise JobError(Code.FILE_MISSING, f"There is no file of landmarks {path}.", "Check the path.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        labels, rows, system = _from_json(text) if path.suffix.lower() == ".json" else _from_fcsv(text)
        points = _triples(rows)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as problem:
        raise _invalid(f"{path} cannot be read as landmarks: {_words_of(problem)}.", _ADVICE) from problem
    if len(points) == 0 or not np.isfinite(points).all():
        raise _invalid(f"{path} holds no placed points.", _ADVICE)
    if system not in _TO_LPS:
        said = f"counts its points in {system}" if system else "does not say in which space its points are"
        raise _invalid(f"{path} {said}; LPS and RAS are known.", _ADVICE)
    return Points(tuple(labels), points * _TO_LPS[system])


def paired(target: Points, atlas: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same landmarks in target and atlas, two arrays (n, 3) in LPS mm.

    They go together by label where all labels of the shorter list are in the other, else by order.

    Raises `JobError` LANDMARKS_INVALID where neither is possible.
    """
    common = [label for label in target.labels if label in atlas.labels]
    unique = all(len(set(points.labels)) == len(points.labels) for points in (target, atlas))
    if unique and len(common) == min(len(target.labels), len(atlas.labels)):
        here = [target.labels.index(label) for label in common]
        there = [atlas.labels.index(label) for label in common]
        return target.lps[here], atlas.lps[there]
    if len(target.labels) == len(atlas.labels):
        return target.lps, atlas.lps
    raise _invalid(
        f"The target has {len(target.labels)} landmarks, the atlas {len(atlas.labels)}, and their labels differ.",
        "Give both the same points in the same order, or the same labels.",
    )


def _from_json(text: str) -> tuple[list[str], list[Any], str]:
    markups = json.loads(text)["markups"][0]
    placed = [p for p in markups["controlPoints"] if p.get("positionStatus", "defined") == "defined"]
    return [str(p.get("label", "")) for p in placed], [p["position"] for p in placed], _system(markups)


def _system(markups: dict[str, Any]) -> str:
    return str(markups.get("coordinateSystem") or "").upper()


def _from_fcsv(text: str) -> tuple[list[str], list[Any], str]:
    system, columns = "", _FCSV_COLUMNS
    lines = text.splitlines()
    for line in lines:
        if line.startswith("#"):
            name, _, value = line[1:].partition("=")
            if name.strip() == "CoordinateSystem":
                system = _OLD_CODES.get(value.strip(), value.strip().upper())
            if name.strip() == "columns":
                columns = value.strip()
    names = columns.split(",")
    if missing := {"x", "label"} - set(names):
        raise ValueError(f"its columns lack {' and '.join(sorted(missing))}")
    x, label = names.index("x"), names.index("label")
    rows = [row for row in csv.reader(line for line in lines if line and not line.startswith("#")) if row]
    return [row[label] for row in rows], [row[x : x + 3] for row in rows], system


def _triples(rows: list[Any]) -> NDArray[np.float64]:
    points = [[float(number) for number in row] for row in rows]
    if any(len(point) != 3 for point in points):
        raise ValueError("a point in it has not three numbers")
    return np.array(points, float).reshape(-1, 3)


def _words_of(problem: Exception) -> str:
    if isinstance(problem, UnicodeDecodeError):
        return "it is not written in UTF-8"
    if isinstance(problem, KeyError):
        return f"it has no {problem}"
    if isinstance(problem, IndexError):
        return "a list in it is too short"
    return "it is arranged otherwise" if isinstance(problem, (TypeError, AttributeError)) else str(problem)


def _invalid(message: str, advice: str) -> JobError:
    return JobError(Code.LANDMARKS_INVALID, message, advice)
