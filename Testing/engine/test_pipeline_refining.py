"""Correct and refine: what a user corrected stays, its surroundings follow, and only what belongs together goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.job import Code, JobError, Request
from JointRegSegLib.job.result import FIELD, LABELS, MANIFEST, QUALITY_JSON
from JointRegSegLib.metrics import dice
from JointRegSegLib.phantom import PhantomFiles, write_pair
from JointRegSegLib.pipeline.corrections import read_earlier
from JointRegSegLib.pipeline.guidance import Guidance
from JointRegSegLib.pipeline.prepare import prepare
from JointRegSegLib.pipeline.progress import Progress
from JointRegSegLib.volumes import LabelMap, read_field, read_label_map, read_volume, write_label_map, write_volume
from Testing.engine.pipeline_cases import Told, refused, request_for, run_quietly

_CORRECTED = (13, 9)


def _labels(told: Told) -> LabelMap:
    return read_label_map(told.result.path(LABELS))


def _carried(told: Told, files: PhantomFiles) -> np.ndarray:
    """The atlas's labels behind the written field, whatever was kept of corrections."""
    atlas = read_label_map(files.atlas_labels)
    vectors, grid = read_field(told.result.path(FIELD))
    points = grid.to_lps(np.indices(grid.shape)[::-1].transpose(1, 2, 3, 0)) + vectors
    index = np.rint(atlas.grid.to_index(points)).astype(int).clip(0, np.array(atlas.grid.size) - 1)
    i, j, k = index.transpose(3, 0, 1, 2)
    return atlas.array[k, j, i]


def _corrected(found: LabelMap, truth: LabelMap, path: Path) -> np.ndarray:
    """The result with some structures as they truly are, written to a file."""
    there = np.isin(truth.array, _CORRECTED)
    array = np.where(np.isin(found.array, _CORRECTED), 0, found.array)
    array = np.where(there, truth.array, array)
    write_label_map(path, replace(found, array=array))
    return array


def _request(told: Told, files: PhantomFiles, tmp_path: Path, **changes: Any) -> Request:
    usual = {"continue_from": told.result.folder, "corrections": tmp_path / "edited.nii.gz", "corrected": _CORRECTED}
    return request_for(files, tmp_path / "out", **{**usual, **changes})


@pytest.fixture(scope="module")
def refined(told: Told, files: PhantomFiles, tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, np.ndarray]:
    """The refined run, and the labels as the user left them."""
    folder = tmp_path_factory.mktemp("refined")
    edited = _corrected(_labels(told), read_label_map(files.target_labels), folder / "edited.nii.gz")
    return run_quietly(_request(told, files, folder)), edited


def test_corrected_structures_stay_exactly_as_they_were_left(refined: tuple[Told, np.ndarray]) -> None:
    found, edited = refined
    array = _labels(found).array
    assert np.array_equal(np.isin(array, _CORRECTED), np.isin(edited, _CORRECTED))
    there = np.isin(edited, _CORRECTED)
    assert np.array_equal(array[there], edited[there])


def test_the_others_do_not_lose_and_nothing_folds(tmp_path: Path) -> None:
    """In the mean over phantoms of several sizes: most structures have some dozens of voxels, which rounding moves."""
    gains = []
    for size in range(40, 50, 2):
        files = write_pair(tmp_path / f"pair{size}", size=size)
        told = run_quietly(request_for(files, tmp_path / f"run{size}"))
        truth = read_label_map(files.target_labels)
        folder = tmp_path / f"refined{size}"
        folder.mkdir()
        _corrected(_labels(told), truth, folder / "edited.nii.gz")
        refined = run_quietly(_request(told, files, folder))
        before, after = (dice(_labels(run).array, truth.array) for run in (told, refined))
        gains.append(np.mean([after[v] - before[v] for v in before if v not in _CORRECTED]))
        measures = {m.key: m.value for m in refined.result.quality.measures}
        assert measures["folding_percent"] == 0.0
        assert measures["inverse_error_mean"] < 0.1
    assert np.mean(gains) > -0.002


def test_the_affine_is_taken_over(told: Told, refined: tuple[Told, np.ndarray]) -> None:
    assert refined[0].result.manifest["start"] == "an earlier result"
    assert refined[0].result.manifest["similarity"] == told.result.manifest["similarity"]


def test_corrections_pull_a_displaced_structure_home(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    """A user moves a structure by 2 voxels; the field carries the atlas's there, images notwithstanding."""
    found = _labels(told)
    moved = np.roll(found.array == _CORRECTED[0], 2, axis=2)
    array = np.where(found.array == _CORRECTED[0], 0, found.array)
    write_label_map(tmp_path / "edited.nii.gz", replace(found, array=np.where(moved, _CORRECTED[0], array)))
    again = run_quietly(_request(told, files, tmp_path, corrected=_CORRECTED[:1]))
    before, after = (dice(_carried(run, files) == _CORRECTED[0], moved)[1] for run in (told, again))
    assert after > before + 0.06
    assert np.array_equal(_labels(again).array == _CORRECTED[0], moved)


def test_another_pairs_result_is_refused(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    other = write_pair(tmp_path / "other", size=44)
    _corrected(_labels(told), read_label_map(files.target_labels), tmp_path / "edited.nii.gz")
    request = _request(told, files, tmp_path, target=other.target)
    refused(request, Code.REQUEST_INVALID, "another pair")


def test_another_scan_on_the_same_voxels_is_refused(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    image = read_volume(files.target)
    write_volume(tmp_path / "other.nii.gz", image.array[::-1].copy(), image.grid)
    request = request_for(files, tmp_path / "out", target=tmp_path / "other.nii.gz", continue_from=told.result.folder)
    refused(request, Code.REQUEST_INVALID, "its target is another scan")


def test_the_affines_similarity_is_taken_over_where_it_was_found_in_the_same_way(
    told: Told, files: PhantomFiles, tmp_path: Path
) -> None:
    before = told.result.quality.measure("similarity_before")
    for number, facts in enumerate(({}, {"masked": None}, {"quality": "normal"})):
        earlier = _changed(told, tmp_path / str(number), **facts)
        table = told.result.quality
        odd = replace(table, measures=tuple(replace(m, value=0.25) if "before" in m.key else m for m in table.measures))
        (earlier / QUALITY_JSON).write_text(odd.to_json(), encoding="utf-8")
        request = request_for(files, tmp_path / f"out{number}", continue_from=earlier)
        found = run_quietly(request).result.quality.measure("similarity_before")
        assert found == (0.25 if not facts else pytest.approx(before, rel=1e-4))


def _changed(told: Told, folder: Path, **facts: Any) -> Path:
    """A copy of the result with other words in its manifest; None takes one out."""
    copy = Path(shutil.copytree(told.result.folder, folder))
    manifest = {key: value for key, value in {**told.result.manifest, **facts}.items() if value is not None}
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def test_the_result_of_several_atlases_is_refused(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    """Its field is one atlas's: on grids that atlases share, nothing else would tell."""
    earlier = _changed(told, tmp_path / "fused", atlases=["A1", "A2"])
    request = request_for(files, tmp_path / "out", continue_from=earlier)
    refused(request, Code.REQUEST_INVALID, "fused from 2 atlases", earlier)


@pytest.mark.parametrize("facts", [{"similarity": None}, {"similarity": "taste"}, {"atlases": None}])
def test_a_manifest_that_says_too_little_is_told(
    facts: dict[str, Any], told: Told, files: PhantomFiles, tmp_path: Path
) -> None:
    earlier = _changed(told, tmp_path / "odd", **facts)
    refused(request_for(files, tmp_path / "out", continue_from=earlier), Code.RESULT_INVALID, earlier)


def test_labels_that_someone_cropped_in_the_result_are_told(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    earlier = _changed(told, tmp_path / "cropped")
    labels = _labels(told)
    (w, h, d), (i, j, k) = labels.grid.size, (0, 0, 2)
    part = replace(labels, array=labels.array[k:], grid=labels.grid.box((i, j, k), (w, h, d - k)))
    write_label_map(earlier / LABELS, part)
    _corrected(labels, read_label_map(files.target_labels), tmp_path / "edited.nii.gz")
    refused(_request(told, files, tmp_path, continue_from=earlier), Code.RESULT_INVALID, "labels", earlier)


def test_corrections_that_change_nothing_are_told(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    """As where the result's own labels were edited in place: nothing is left to compare them with."""
    write_label_map(tmp_path / "edited.nii.gz", _labels(told))
    again = run_quietly(_request(told, files, tmp_path, corrected=(13, 13)))
    assert "change nothing" in again.cautions["corrections-none"]
    assert np.array_equal(np.isin(_labels(again).array, (13,)), np.isin(_labels(told).array, (13,)))


def test_a_value_that_is_named_twice_pulls_once(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    _corrected(_labels(told), read_label_map(files.target_labels), tmp_path / "edited.nii.gz")
    request = _request(told, files, tmp_path, corrected=(13, 9, 13))
    quiet = Progress(lambda event: None, lambda: False)
    with quiet.step("prepare", ""):
        earlier, corrections = read_earlier(request, prepare(request, quiet)[0], quiet)
    assert corrections is not None
    assert corrections.values == (13, 9)
    assert earlier is not None
    voxels = read_label_map(files.target_labels).array.size + read_label_map(files.atlas_labels).array.size
    assert Guidance(earlier=earlier).held_bytes >= 12 * voxels


def test_a_label_that_the_atlas_does_not_have_is_refused(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    _corrected(_labels(told), read_label_map(files.target_labels), tmp_path / "edited.nii.gz")
    refused(_request(told, files, tmp_path, corrected=(13, 77)), Code.CORRECTIONS_INVALID, "77")


@pytest.mark.parametrize(
    "changes", [{"corrected": ()}, {"corrections": None}, {"continue_from": None}, {"method": "jrss", "model": "m"}]
)
def test_half_a_request_is_refused(changes: dict[str, Any], told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        _request(told, files, tmp_path, **changes)
    assert caught.value.code is Code.REQUEST_INVALID


def test_a_request_survives_its_json(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    request = _request(told, files, tmp_path)
    assert Request.from_json(request.to_json()) == request
