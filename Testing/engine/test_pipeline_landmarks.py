"""Landmarks in whole runs: they pull or are measured, and requests that cannot use them are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from JointRegSegLib.job import Code, JobError, LandmarkUse, Refinement, Request
from JointRegSegLib.job.result import FIELD
from JointRegSegLib.phantom import PhantomFiles
from JointRegSegLib.volumes import read_field, read_volume
from Testing.engine.pipeline_cases import Told, refused, request_for, run_quietly

_AWAY = np.array([4.0, -2.0, 4.0])


def _write(path: Path, points: NDArray[np.float64]) -> Path:
    named = [{"label": f"P-{n}", "position": point} for n, point in enumerate(points.tolist(), 1)]
    markups = {"coordinateSystem": "LPS", "controlPoints": named}
    path.write_text(json.dumps({"markups": [markups]}), encoding="utf-8")
    return path


def _request(told: Told, files: PhantomFiles, folder: Path, **changes: Any) -> Request:
    """Three points of the target's middle, 6 mm from where a run without landmarks takes them."""
    vectors, grid = read_field(told.result.path(FIELD))
    index = np.rint(np.array(grid.size) * [[0.4, 0.5, 0.5], [0.6, 0.4, 0.5], [0.5, 0.6, 0.6]]).astype(int)
    i, j, k = index.T
    target = grid.to_lps(index)
    here, there = (
        _write(folder / "t.mrk.json", target),
        _write(folder / "a.mrk.json", target + vectors[k, j, i] + _AWAY),
    )
    request = request_for(files, folder / "out")
    atlas = replace(request.atlases[0], landmarks=there)
    return replace(request, **{"atlases": (atlas,), "landmarks": here, **changes})


def _errors(told: Told) -> dict[str, float]:
    return {m.key: m.value for m in told.result.quality.measures}


def test_they_pull_or_are_measured_alone(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    folders = [tmp_path / use.value for use in LandmarkUse]
    for folder in folders:
        folder.mkdir()
    uses = zip(LandmarkUse, folders, strict=True)
    pulled, checked = (run_quietly(_request(told, files, folder, landmark_use=use)) for use, folder in uses)
    assert _errors(pulled)["landmark_error_max_mm"] < 0.3
    assert _errors(pulled)["folding_percent"] == 0
    assert _errors(checked)["landmark_error_mm"] == pytest.approx(6.0, abs=0.05)
    fields = [read_field(one.result.path(FIELD))[0] for one in (told, checked)]
    assert np.array_equal(*fields)


def test_a_run_goes_on_with_landmarks_alone(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    found = run_quietly(_request(told, files, tmp_path, continue_from=told.result.folder))
    assert _errors(found)["landmark_error_max_mm"] < 0.3
    assert _errors(found)["folding_percent"] == 0


def test_points_of_another_scan_are_refused(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    request = _request(told, files, tmp_path)
    far = read_volume(files.target).grid.to_lps(np.array([[0.0, 0.0, 0.0], [500.0, 0.0, 0.0], [2.0, 2.0, 2.0]]))
    _write(tmp_path / "t.mrk.json", far)
    refused(request, Code.LANDMARKS_INVALID, "1 of 3 landmarks", tmp_path / "t.mrk.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"landmarks": None}, "alone"),
        ({"method": "jrss", "model": Path("m"), "refinement": Refinement.NONE}, "as it is"),
    ],
)
def test_landmarks_that_cannot_pull_are_refused(
    changes: dict[str, Any], words: str, told: Told, files: PhantomFiles, tmp_path: Path
) -> None:
    with pytest.raises(JobError, match=words) as caught:
        _request(told, files, tmp_path, **changes)
    assert caught.value.code is Code.REQUEST_INVALID


def test_a_field_that_is_left_as_it_is_may_be_checked(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    model = {"method": "jrss", "model": Path("m"), "refinement": Refinement.NONE}
    assert _request(told, files, tmp_path, **model, landmark_use=LandmarkUse.CHECK).landmarks is not None


def test_of_several_atlases_each_has_landmarks_or_none(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    request = _request(told, files, tmp_path)
    own = request.atlases[0]
    assert len(replace(request, atlases=(own, own)).atlases) == 2
    with pytest.raises(JobError, match="none of atlas 2, 3") as caught:
        replace(request, atlases=(own, *[replace(own, landmarks=None)] * 2))
    assert caught.value.code is Code.REQUEST_INVALID
