"""Benchmarks of a user's help: which structures are corrected, what is scored, where landmarks lie, and the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Request
from JointRegSegLib.volumes import Grid, read_points
from Testing.benchmarks import guides_run, guides_tables, ours_run, pinning, refining, runner
from Testing.benchmarks.__main__ import KINDS, main
from Testing.benchmarks.guides import GUIDES, LANDMARKS, REFINE, UNSEEN, Guided
from Testing.benchmarks.processes import Used
from Testing.benchmarks.rows import Line, Store

ROWS = GUIDES["guided"].rows
PINNED = next(row for row in ROWS if row.help == LANDMARKS)


def _image(array: np.ndarray, vector: bool = False) -> sitk.Image:
    """An array as an image on an oblique, anisotropic grid."""
    image = sitk.GetImageFromArray(array, isVector=vector)
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix())
    image.SetSpacing((1.0, 0.8, 1.5))
    image.SetOrigin((10.0, -20.0, 30.0))
    return image


def test_rows_have_names_and_keys_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len({row.key for row in ROWS}) == len(ROWS) == 5
    assert any(part is GUIDES for part, _ in KINDS)


def test_lacking_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lacking = {file.name for file in guides_run.missing([PINNED], tmp_path)}
    assert lacking == {f"{s}_{end}.nii.gz" for s in ("1000", "1012") for end in ("t1", "labels")} | {"labels.csv"}
    assert main(["--part", "guided", "--data", str(tmp_path)]) == 2
    assert "lacks" in capsys.readouterr().err


def test_structures_are_chosen_by_rank_of_dice_among_the_large_ones() -> None:
    true = np.repeat([1, 2, 3, 4], [10, 10, 10, 2])
    found = true.copy()
    found[0:4] = 0
    found[10:12] = 0
    found[30:] = 0
    assert refining.at_ranks(found, true, [1, 2, 3, 4], [0, 1, 2], 5) == [1, 2, 3]
    assert refining.at_ranks(found, true, [1, 2, 3, 4], [0], 1) == [4]
    assert refining.at_ranks(found, true, [2, 3], [1], 5) == [3]
    with pytest.raises(ValueError, match="only 3 "):
        refining.at_ranks(found, true, [1, 2, 3, 4], [3], 5)


def test_a_corrected_structure_is_the_true_one_and_what_was_taken_for_it_becomes_0() -> None:
    true = np.array([1, 1, 2, 2, 0, 3])
    found = np.array([1, 2, 2, 1, 1, 3])
    assert refining.corrected(found, true, [1]).tolist() == [1, 1, 2, 0, 0, 3]


def _refined_job(tmp_path: Path, after: np.ndarray) -> dict[str, Any]:
    """A bar of structures of 4 voxels of 1 mm along x: 1 was corrected; 2 is beside it, 3 far, 9 is not scored."""
    true = np.repeat([1, 2, 9, 3], 4)[None, None]
    before = true.copy()
    before[..., 3:6] = 1
    edited = refining.corrected(before, true, [1])
    files = {}
    for name, array in {"target_labels": true, "found": before, "corrections": edited, "refined": after}.items():
        files[name] = str(tmp_path / f"{name}.nii.gz")
        sitk.WriteImage(_image(array.astype(np.uint8).reshape(1, 1, 16)), files[name])
    return {**files, "scored": [1, 2, 3], "corrected": [1], "near_mm": 3.0}


def test_neighbours_are_scored_against_what_the_user_left(tmp_path: Path) -> None:
    """Two of structure 2's voxels were taken for 1, and are 0 after the correction; the refinement finds them."""
    after = np.repeat([1, 2, 9, 3], 4)
    found = refining._score(_refined_job(tmp_path, after))
    assert found["neighbours"] == 1
    assert found["neighbours_before"] == found["neighbours_edited"] == pytest.approx(2 * 2 / 6)
    assert found["neighbours_after"] == 1
    assert found["neighbours_gain"] == pytest.approx(1 / 3)
    assert found["edits_lost"] == 0


def test_edited_voxels_that_changed_are_counted(tmp_path: Path) -> None:
    after = np.repeat([1, 2, 9, 3], 4)
    after[0] = 0
    after[14:] = 1
    assert refining._score(_refined_job(tmp_path, after))["edits_lost"] == 3


def test_corrections_lie_where_the_result_lies(tmp_path: Path) -> None:
    true = np.repeat([1, 2, 3], 4).reshape(1, 1, 12)
    job = {
        **{name: str(tmp_path / f"{name}.nii.gz") for name in ("target_labels", "found", "corrections")},
        **{"scored": [1, 2, 3], "ranks": [0], "least_voxels": 3},
    }
    found = np.where(true == 2, 0, true)
    for name, array in (("target_labels", true), ("found", found)):
        sitk.WriteImage(_image(array.astype(np.uint8)), job[name])
    assert refining._correct(job) == {"corrected": [2]}
    written = sitk.ReadImage(job["corrections"])
    assert np.array_equal(sitk.GetArrayFromImage(written), true)
    assert Grid.of(written).same_as(Grid.of(sitk.ReadImage(job["found"])))


def test_the_error_ends_at_the_ball_and_cannot_fold() -> None:
    centre, radius = np.array([5.0, -3.0, 2.0]), 40.0
    along = centre + np.linspace(0, 50, 501)[:, None] * np.array([1.0, 0.0, 0.0])
    length = np.linalg.norm(pinning.bump(along, centre, radius), axis=1)
    assert length[0] == 1
    assert length[200] == pytest.approx(0.75**2)
    assert length[400:] == pytest.approx(0)
    largest = 10 / (1 - 0.6**2) ** 2  # were all held-out points where the error of the inner part is smallest
    assert largest * np.abs(np.diff(length) / 0.1).max() < 1
    points = pinning.drawn(500, centre, 24.0, np.random.default_rng(0))
    away = np.linalg.norm(points - centre, axis=1)
    assert away.max() <= 24
    assert (away < 12).mean() == pytest.approx(1 / 8, abs=0.04)


def _pinned_job(tmp_path: Path) -> dict[str, Any]:
    """A head of 30 voxels, and a field that takes every point 3 mm along x."""
    head = np.zeros((30, 32, 34), np.uint8)
    head[2:-2, 2:-2, 2:-2] = 1
    sitk.WriteImage(_image(head), str(tmp_path / "target.nii.gz"))
    field = np.zeros((*head.shape, 3))
    field[..., 0] = 3.0
    sitk.WriteImage(_image(field, vector=True), str(tmp_path / "field.nrrd"))
    marks = {name: str(tmp_path / f"{name}.mrk.json") for name in ("landmarks", "atlas_landmarks")}
    files = {"target": "target.nii.gz", "field": "field.nrrd", "without": "field.nrrd", "mask": "m.nii.gz"}
    paths = {name: str(tmp_path / file) for name, file in {**files, "places": "places.json"}.items()}
    return {**PINNED.settings, **paths, **marks, "radius_mm": 8.0, "error_mm": 2.0}


def test_the_mask_hides_a_ball_in_the_middle(tmp_path: Path) -> None:
    job = _pinned_job(tmp_path)
    pinning._hide(job)
    mask, target = sitk.ReadImage(job["mask"]), sitk.ReadImage(job["target"])
    assert Grid.of(mask).same_as(Grid.of(target))
    hidden = sitk.GetArrayFromImage(mask) == 0
    volume = hidden.sum() * np.prod(target.GetSpacing())
    assert volume == pytest.approx(4 / 3 * np.pi * 8.0**3, rel=0.02)
    assert np.argwhere(hidden).mean(0) == pytest.approx([14.5, 15.5, 16.5])
    middle = target.TransformContinuousIndexToPhysicalPoint([16.5, 15.5, 14.5])
    assert pinning.middle(target) == pytest.approx(middle)


def test_the_run_without_landmarks_is_off_by_the_error_and_landmarks_say_so(tmp_path: Path) -> None:
    job = _pinned_job(tmp_path)
    pinning._place(job)
    places = json.loads(Path(job["places"]).read_text(encoding="utf-8"))
    here, there = (read_points(Path(job[name])).lps for name in ("landmarks", "atlas_landmarks"))
    assert here == pytest.approx(np.array(places["marks"]["target"]))
    assert there == pytest.approx(np.array(places["marks"]["atlas"]))
    assert len(here) == 10
    held_out = np.array(places["held_out"]["target"])
    assert len(held_out) == 40
    assert np.linalg.norm(held_out - pinning.middle(sitk.ReadImage(job["target"])), axis=1).max() <= 0.6 * 8
    found = pinning._score(job)
    assert found["before_mm"] == found["held_out_mm"] == pytest.approx(2.0)
    assert found["marks_mm"] == pytest.approx(np.linalg.norm(there - here - [3, 0, 0], axis=1).mean())
    assert found["held_out_largest_mm"] > found["held_out_mm"]


class _Steps:
    """Stands in for the steps' processes: it keeps what they were asked, and each run takes its own CPU seconds."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._seconds = {"normal": 30.0, "refined": 6.0}

    def __call__(
        self, command: Sequence[str], job: dict[str, Any], threads: int, limit: float, as_worker: bool = False
    ) -> tuple[dict[str, Any], Used]:
        name = command[-1].rpartition(".")[2]
        self.asked.append((job.get("action") or Path(job["output"]).name if name != "score" else name, job))
        found: dict[str, Any] = {"corrected": [5, 7]} if job.get("action") == "correct" else {"folding_percent": 0.0}
        if name == "ours_run":
            seconds = self._seconds.get(Path(job["output"]).name, 20.0)
            steps = {"imports": {"cpu_seconds": 9.0}, "register": {"cpu_seconds": seconds - 1}}
            steps["write"] = {"cpu_seconds": 1.0}
            found = {"steps": steps, "field": job["output"] + "/f", "labels": job["output"] + "/l", "cpu_seconds": 0.0}
        return found, Used(50.0, 40.0, 1000.0)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> _Steps:
    found = _Steps()
    monkeypatch.setattr(guides_run, "run_step", found)
    return found


def test_a_refinement_goes_on_from_the_normal_run_with_the_corrections(steps: _Steps, tmp_path: Path) -> None:
    (tmp_path / "oasis").mkdir()
    (tmp_path / "oasis" / "labels.csv").write_text("value,name,scored\n5,a,1\n7,b,1\n", encoding="utf-8")
    line = guides_run.measure(ROWS[0], tmp_path, "engine a")
    assert "error" not in line
    jobs = dict(steps.asked[:4])
    assert list(jobs) == ["normal", "correct", "refined", "score"]
    assert "continue_from" not in jobs["normal"]
    assert jobs["refined"]["continue_from"] == jobs["normal"]["output"]
    assert jobs["refined"]["corrections"] == jobs["correct"]["corrections"]
    assert jobs["refined"]["corrected"] == line["corrected"] == [5, 7]
    assert jobs["score"]["labels"] == jobs["refined"]["output"] + "/l"
    assert (line["normal_cpu_seconds"], line["cpu_seconds"], line["cpu_share"]) == (30.0, 6.0, 0.2)
    assert line["command_cpu_seconds"] == 40.0
    assert json.loads(json.dumps(line)) == line


@pytest.mark.parametrize(("help_", "begin"), [(LANDMARKS, "without"), (UNSEEN, "seen")])
def test_the_error_is_added_to_the_run_without_landmarks_or_to_one_that_sees(
    help_: str, begin: str, steps: _Steps, tmp_path: Path
) -> None:
    guides_run.measure(Guided("1000", "1012", help_), tmp_path, "engine a")
    runs = {name: job for name, job in steps.asked if "output" in job}
    place = next(job for name, job in steps.asked if name == "place")
    last = steps.asked[-1][1]
    assert place["field"] == runs[begin]["output"] + "/f"
    assert "landmarks" not in runs["without"]
    assert runs["without"]["target_mask"] == runs["pinned"]["target_mask"]
    assert runs["pinned"]["landmarks"] == place["landmarks"]
    assert runs["pinned"]["atlas_landmarks"] == place["atlas_landmarks"]
    assert all("target_mask" not in job for name, job in runs.items() if name == "seen")
    assert (last["without"], last["field"]) == (runs["without"]["output"] + "/f", runs["pinned"]["output"] + "/f")


def test_a_run_is_given_what_helps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def stop(request: Request, *_: object) -> None:
        asked.append(request)
        raise SystemExit

    monkeypatch.setattr("JointRegSegLib.pipeline.run", stop)
    job = {"atlas": "a", "atlas_labels": "l", "target": "t", "output": "o", "method": "normal", "similarity": "auto"}
    job.update(device="cpu", threads=1)
    guides: dict[str, Any] = {"landmarks": "p", "atlas_landmarks": "q", "target_mask": "m"}
    for more in (guides, {"continue_from": "r", "corrections": "c", "corrected": [4]}, {}):
        (tmp_path / "job.json").write_text(json.dumps({**job, **more}), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["", str(tmp_path / "job.json")])
        with pytest.raises(SystemExit):
            ours_run.main()
    pinned, refined, plain = asked
    assert (pinned.landmarks, pinned.atlases[0].landmarks, pinned.target_mask) == (Path("p"), Path("q"), Path("m"))
    assert (refined.continue_from, refined.corrections, refined.corrected) == (Path("r"), Path("c"), (4,))
    assert plain == Request(plain.atlases, Path("t"), Path("o"), device=plain.device, threads=1)


def _line(row: Guided, **figures: Any) -> Line:
    errors = {"before_mm": 10.0, "held_out_mm": 1.5, "held_out_largest_mm": 3.0, "marks_mm": 0.01}
    names = ("before", "edited", "after", "gain")
    scores = dict(zip((f"neighbours_{name}" for name in names), (0.6, 0.62, 0.65, 0.03), strict=True))
    own = {"cpu_share": 0.3, "neighbours": 20, "edits_lost": 0, **scores} if row.help == REFINE else errors
    return {**runner.begun(row, "engine a", "abc"), "cpu_seconds": 8.0, "folding_percent": 0.0, **own, **figures}


def test_the_page_judges_help_and_names_what_was_not_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert guides_tables.section(store).count("`guided/") == len(ROWS)
    for number, row in enumerate(ROWS):
        store.add(_line(row, **({"cpu_share": 0.4, "neighbours_gain": 0.01} if number == 0 else {})))
    text = guides_tables.section(store)
    assert "`guided/*/refine`: cpu share (largest) | at most 0.3333 | 0.4 | missed by 0.06667 |" in text
    assert "`guided/*/refine`: neighbours gain (smallest) | at least 0 | 0.01 | met |" in text
    assert "`guided/*/landmarks`: held out mm (largest) | at most 2 | 1.5 | met |" in text
    assert "| oasis 1007 to 1014 | 8.0 | 0.300 | 20 | 0.6000 | 0.6200 | 0.6500 | 0 | 0.0000 |" in text
    assert "| oasis 1000 to 1012, unseen | 10.00 | 1.50 | 3.00 | 0.01 | 8.0 | 0.0000 |" in text
    assert "Rows not run: none." in text
    store.add({**_line(ROWS[0]), "code": "engine b", "date": "9999"})
    text = guides_tables.section(store)
    assert f"older engine only, left out: `{ROWS[1].name}`" in text
    assert all(guides_run.summary(_line(row)) for row in ROWS)
