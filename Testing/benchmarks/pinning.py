"""A region that images say nothing of, and landmarks in it: `python -m Testing.benchmarks.pinning JOB`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from JointRegSegLib.volumes.grid import Grid

Points = NDArray[np.float64]
_DIRECTION = np.array([2.0, -1.0, 2.0]) / 3.0


def middle(image: sitk.Image) -> Points:
    """The mean of the voxels above 0, (3,) in LPS mm."""
    return Grid.of(image).to_lps(np.argwhere(sitk.GetArrayFromImage(image) > 0).mean(0)[None, ::-1])[0]


def compared(image: sitk.Image, centre: Points, radius: float) -> sitk.Image:
    """A mask that is 0 in a ball (LPS mm) and 1 elsewhere."""
    grid = Grid.of(image)
    distance = np.linalg.norm(grid.to_lps(np.argwhere(np.ones(grid.shape, bool))[:, ::-1]) - centre, axis=1)
    return grid.place(sitk.GetImageFromArray((distance > radius).astype(np.uint8).reshape(grid.shape)))


def drawn(count: int, centre: Points, radius: float, random: np.random.Generator) -> Points:
    """Points (n, 3) at random, evenly, in a ball."""
    away = random.normal(size=(count, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    return centre + radius * np.cbrt(random.random((count, 1))) * away


def bump(points: Points, centre: Points, radius: float) -> Points:
    """The displacement (n, 3) at points: `(1 - (r / radius)^2)^2` of 1 mm, in one direction; 0 beyond the radius."""
    share = np.linalg.norm(points - centre, axis=1) / radius
    return (1 - np.minimum(share, 1) ** 2)[:, None] ** 2 * _DIRECTION


def carried(field: str, points: Points) -> Points:
    """Points (n, 3) of the target, where a field (LPS mm) takes them."""
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage(field, sitk.sitkVectorFloat64))
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def _hide(job: dict[str, Any]) -> dict[str, Any]:
    target = sitk.ReadImage(job["target"])
    sitk.WriteImage(compared(target, middle(target), job["radius_mm"]), job["mask"], True)
    return {}


def _place(job: dict[str, Any]) -> dict[str, Any]:
    centre, random = middle(sitk.ReadImage(job["target"])), np.random.default_rng(job["draw"])
    counts = {"marks": job["marks"], "held_out": job["held_out"]}
    there = {name: drawn(n, centre, job["inner"] * job["radius_mm"], random) for name, n in counts.items()}
    moved = {name: bump(points, centre, job["radius_mm"]) for name, points in there.items()}
    scale = job["error_mm"] / np.linalg.norm(moved["held_out"], axis=1).mean()
    places = {
        name: {"target": points.tolist(), "atlas": (carried(job["field"], points) + scale * moved[name]).tolist()}
        for name, points in there.items()
    }
    Path(job["places"]).write_text(json.dumps(places), encoding="utf-8")
    for name, side in (("landmarks", "target"), ("atlas_landmarks", "atlas")):
        _write_markups(Path(job[name]), places["marks"][side])
    return {}


def _score(job: dict[str, Any]) -> dict[str, Any]:
    places = json.loads(Path(job["places"]).read_text(encoding="utf-8"))
    marks, held_out = (_errors(job["field"], places[name]) for name in ("marks", "held_out"))
    return {
        "before_mm": float(_errors(job["without"], places["held_out"]).mean()),
        "marks_mm": float(marks.mean()),
        "held_out_mm": float(held_out.mean()),
        "held_out_largest_mm": float(held_out.max()),
    }


def _errors(field: str, places: dict[str, list[list[float]]]) -> Points:
    """Target registration error at each place, mm."""
    moved = carried(field, np.array(places["target"]))
    errors: Points = np.linalg.norm(moved - np.array(places["atlas"]), axis=1)
    return errors


def _write_markups(path: Path, points: list[list[float]]) -> None:
    named = [{"label": f"P-{number}", "position": point} for number, point in enumerate(points, 1)]
    markups = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": named}
    path.write_text(json.dumps({"markups": [markups]}), encoding="utf-8")


def main() -> None:
    """Do what the job's `action` says: "hide" a region, "place" landmarks in it, or "score" a field at them."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    outcome = {"hide": _hide, "place": _place, "score": _score}[job["action"]](job)
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
