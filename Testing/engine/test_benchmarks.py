"""The benchmark's own rules: lines that survive, rows that are skipped, tables that name what is missing, scores."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from Testing.benchmarks import changes, runner
from Testing.benchmarks.__main__ import KEPT, PAGE, main
from Testing.benchmarks.bars import BARS
from Testing.benchmarks.guides import GUIDES
from Testing.benchmarks.parts import PARTS, PEERS, Row
from Testing.benchmarks.processes import StepError, run_step
from Testing.benchmarks.provenance import ROOMS, ROOT, engine_code
from Testing.benchmarks.rows import Line, Store, append_line, read_lines, record
from Testing.benchmarks.score import mean_dice, smoothness, warp_labels
from Testing.benchmarks.tables import page_text

ROW = PARTS["robust"].rows[0]


def line_of(row: Row, code: str = "engine a", date: str = "2026-01-01", **figures: float) -> Line:
    """A finished line with made-up figures."""
    keys = ("dice", "sdlogj", "folding_percent", "cpu_seconds", "seconds", "peak_mb")
    return {
        "row": row.name,
        "part": row.part,
        "key": row.key,
        "code": code,
        "commit": "c0ffee",
        "date": date,
        "budget": {"threads": 2, "device": "cpu"},
        "machine": {"processor": "P", "cores": 2},
        **dict.fromkeys((*keys, "command_cpu_seconds", "command_peak_mb", "command_seconds"), 0.5),
        **figures,
    }


def test_rows_have_names_and_keys_of_their_own() -> None:
    rows = [row for part in PARTS.values() for row in part.rows]
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.part == name for name, part in PARTS.items() for row in part.rows)
    assert all(row.change in ("", *changes.CHANGES) for row in rows)
    assert replace(ROW, similarity="mi").key != ROW.key != replace(ROW, budget=replace(ROW.budget, threads=4)).key


def test_every_bar_judges_rows_that_exist() -> None:
    names = [row.name for parts in (PARTS, GUIDES) for part in parts.values() for row in part.rows]
    for bar in BARS:
        for pattern in filter(None, (bar.rows, bar.beside)):
            assert any(fnmatch(name, pattern) for name in names), pattern


def test_a_row_counts_as_present_for_its_code_and_settings_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.has(ROW, "engine a")
    store.add({**line_of(ROW), "error": "killed"})
    assert not store.has(ROW, "engine a")
    store.add(line_of(ROW))
    assert store.has(ROW, "engine a")
    assert not store.has(ROW, "engine b")
    assert not store.has(replace(ROW, similarity="mi"), "engine a")


def test_a_line_that_was_cut_off_is_dropped_and_does_not_swallow_the_next(tmp_path: Path) -> None:
    file = tmp_path / "robust.jsonl"
    append_line(file, line_of(ROW))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    assert len(read_lines(file)) == 1
    append_line(file, line_of(PARTS["robust"].rows[1]))
    assert [line["row"] for line in read_lines(file)] == [row.name for row in PARTS["robust"].rows[:2]]


def test_finished_rows_are_skipped_and_failed_ones_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, rows, asked = Store(tmp_path), PARTS["robust"].rows, []

    def measure(row: Row, data: Path, code: str) -> Line:
        asked.append(row.name)
        line = line_of(row, code)
        return {**line, "error": "no"} if row is rows[1] and len(asked) < 4 else line

    monkeypatch.setattr(runner, "measure", measure)
    assert runner.run_rows(rows, tmp_path, store) == [rows[1]]
    assert runner.run_rows(rows, tmp_path, store) == []
    assert asked == [rows[0].name, rows[1].name, rows[2].name, rows[1].name]


def test_rows_that_do_not_fit_the_time_are_left_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "measure", lambda row, data, code: line_of(row, code))
    rows = PARTS["robust"].rows
    assert runner.run_rows(rows, tmp_path, Store(tmp_path), minutes=0.1) == list(rows)
    assert runner.run_rows(rows, tmp_path, Store(tmp_path), minutes=10) == []


def test_a_row_whose_step_fails_keeps_the_reason(tmp_path: Path) -> None:
    line = runner.measure(PARTS["robust"].rows[1], tmp_path, "engine a")
    assert "1010_t1.nii.gz" in line["error"]
    assert "dice" not in line


MEASURE = """
import json, sys
from dataclasses import asdict
from Testing.benchmarks.processes import run_step
step = '''
import json, sys, time
while time.process_time() < 0.3: pass
x = bytearray(200 << 20)
j = json.load(open(sys.argv[1]))
open(j["outcome"], "w").write(json.dumps(j["a"]))
'''
outcome, used = run_step([sys.executable, "-c", step], {"a": {"b": 1}}, 1, 60)
print(json.dumps([outcome, asdict(used)]))
"""


def test_steps_are_measured() -> None:
    """From a small process, as the benchmark's is: on Linux a child starts with its parent's peak."""
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, capture_output=True, text=True, check=True)
    outcome, used = json.loads(done.stdout)
    assert outcome == {"b": 1}
    assert 0.3 <= used["cpu_seconds"] < 5
    assert 200 < used["peak_mb"] < 400


def test_failures_of_steps_are_told() -> None:
    with pytest.raises(StepError, match=r"status 3: why"):
        run_step([sys.executable, "-c", "print('why'); raise SystemExit(3)"], {}, 1, 60)
    with pytest.raises(StepError, match="longer"):
        run_step([sys.executable, "-c", "import time; time.sleep(60)"], {}, 1, 0.3)


def test_code_is_the_content_of_the_engine_and_of_nothing_else(tmp_path: Path) -> None:
    for room in (*ROOMS, "panel"):
        (tmp_path / room).mkdir()
    before = engine_code(tmp_path)
    (tmp_path / "panel" / "a.py").write_text("x = 1")
    assert engine_code(tmp_path) == before
    (tmp_path / "fields" / "a.py").write_bytes(b"x = 1\n")
    unix = engine_code(tmp_path)
    (tmp_path / "fields" / "a.py").write_bytes(b"x = 1\r\n")
    assert engine_code(tmp_path) == unix != before


def test_record_keeps_the_newest_line_of_each_row(tmp_path: Path) -> None:
    results, kept = Store(tmp_path / "results"), tmp_path / "kept"
    first, second, _ = PARTS["robust"].rows
    results.add(line_of(first, dice=0.1))
    results.add(line_of(first, dice=0.2))
    record(results, kept)
    results.folder.joinpath("robust.jsonl").unlink()
    results.add(line_of(second, dice=0.3))
    record(results, kept)
    assert [(line["row"], line["dice"]) for line in read_lines(kept / "robust.jsonl")] == [
        (first.name, 0.2),
        (second.name, 0.3),
    ]


def test_the_page_names_rows_that_were_not_run_or_are_out_of_date(tmp_path: Path) -> None:
    first, second, third = PARTS["robust"].rows
    for line in (line_of(first, "engine old", "2026-01-01"), line_of(second, "engine new", "2026-01-02", dice=0.625)):
        append_line(tmp_path / "robust.jsonl", line)
    text = page_text(tmp_path).split("## robust\n")[1].split("\n## ")[0]
    assert f"older engine only, left out: `{first.name}`" in text
    assert f"Rows not run: `{third.name}`." in text
    assert f"| {second.pair} | normal | 0.6250 |" in text
    assert first.pair + " |" not in text


def test_the_page_judges_bars_once_all_rows_are_there(tmp_path: Path) -> None:
    rows = [row for row in PARTS["brain"].rows if row.method != "accurate"]
    dice = {"normal": 0.64, "fast": 0.6, "syn": 0.58, "greedy-1": 0.62, "greedy-2": 0.64}
    for row in rows:
        code = "greedy 1" if row.method in PEERS else "engine a"
        append_line(tmp_path / "brain.jsonl", line_of(row, code, dice=dice[row.method], cpu_seconds=10.0))
    text = page_text(tmp_path)
    assert (
        "`brain/*/normal`: dice | at least 0.65 (+0.02 to 0.63 of `brain/*/greedy-[12]`) | 0.64 | missed by 0.01"
        in text
    )
    assert "`brain/*/normal`: sdlogj | at most 0.42 | 0.5 | missed by 0.08" in text
    assert "`brain/*/normal`: command peak mb (largest) | at most 2000 | 0.5 | met" in text
    assert "`brain/*/accurate`" not in text


def test_the_page_in_the_repository_is_made_from_the_lines_beside_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(KEPT)


def test_arguments_and_data_that_do_not_do_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JRS_DATA", raising=False)
    assert main([]) == 2
    assert "JRS_DATA" in capsys.readouterr().err
    assert main(["--part", "nothing", "--data", str(tmp_path)]) == 2
    assert "'nothing'" in capsys.readouterr().err
    monkeypatch.setenv("JRS_DATA", str(tmp_path))
    assert main(["--part", "robust"]) == 2
    assert str(tmp_path / "oasis" / "1000_labels.nii.gz") in capsys.readouterr().err
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(part.about in listed for part in PARTS.values())


def test_dice_counts_a_missing_label_as_0_and_only_labels_of_the_target() -> None:
    true = np.array([1, 1, 2, 2, 3, 0])
    found = np.array([1, 1, 2, 0, 0, 4])
    assert mean_dice(found, true, None) == (pytest.approx((1 + 2 / 3 + 0) / 3), {1: 1.0, 2: 2 / 3, 3: 0.0})
    assert mean_dice(found, true, [2, 4])[0] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no label"):
        mean_dice(found, true, [4])


def place(array: np.ndarray, vector: bool = False) -> sitk.Image:
    """An array as an image on an oblique, anisotropic grid."""
    image = sitk.GetImageFromArray(array, isVector=vector)
    turn = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5)
    image.SetDirection(turn.GetMatrix())
    image.SetSpacing((1.0, 0.8, 2.5))
    image.SetOrigin((10.0, -20.0, 30.0))
    return image


def displacement(matrix: np.ndarray) -> sitk.Image:
    """u(x) = (matrix - 1)(x - origin) on the oblique grid."""
    image = place(np.zeros((9, 10, 11), np.float32))
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(matrix.ravel())
    affine.SetCenter(image.GetOrigin())
    return sitk.TransformToDisplacementField(
        affine, sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    )


def test_smoothness_of_known_fields() -> None:
    inside = np.ones((9, 10, 11), bool)
    scaled = smoothness(displacement(np.diag([1.1, 0.9, 1.2])), inside)
    assert (scaled.minimum, scaled.maximum) == pytest.approx((1.188, 1.188), abs=1e-4)
    assert scaled.sd_log == pytest.approx(0, abs=1e-4)
    assert smoothness(displacement(np.diag([-1.0, 1.0, 1.0])), inside).folding_percent == 100.0
    axis = np.reshape(place(inside.astype(np.uint8)).GetDirection(), (3, 3))[:, 0]
    steps = np.where(np.arange(11) < 5, 0.0, 0.5 * (np.arange(11) - 5))
    mixed = np.broadcast_to(steps[:, None] * axis, (9, 10, 11, 3)).copy()
    part = inside.copy()
    part[:, :, 4:7] = False
    stretched = smoothness(place(mixed, vector=True), part)
    weights = np.array([1.0] * 4 + [1.5] * 4)
    assert stretched.sd_log == pytest.approx(np.log(weights).std(), abs=1e-4)


def test_labels_are_warped_by_the_field_that_is_scored() -> None:
    labels = np.zeros((9, 10, 11), np.uint8)
    labels[4, 5, 6] = 7
    image = place(labels)
    axis = np.reshape(image.GetDirection(), (3, 3))[:, 0]
    shift = place(np.broadcast_to(2.0 * axis, (9, 10, 11, 3)).copy(), vector=True)
    assert np.argwhere(warp_labels(image, shift) == 7).tolist() == [[4, 5, 4]]


def test_other_contrast_is_fixed_keeps_the_background_and_is_not_monotonic() -> None:
    ramp = np.tile(np.linspace(0, 1000, 40), (6, 7, 1))
    ramp[:, :, 0] = 0
    image = place(ramp.astype(np.float32))
    changed = changes.other_contrast(image)
    found = sitk.GetArrayFromImage(changed)
    assert np.array_equal(found, sitk.GetArrayFromImage(changes.other_contrast(image)))
    assert np.array_equal(found > 0, ramp > 0)
    assert changed.GetOrigin() == image.GetOrigin()
    rises = np.sign(np.diff((found / changes.bias_field(found.shape))[0, 0, 2:-1])).tolist()
    assert [sign for sign, before in zip(rises[1:], rises, strict=False) if sign != before] == [-1, 1]
    bias = changes.bias_field((20, 20, 20))
    assert (bias.min(), bias.max()) == pytest.approx((0.6, 1.6))


def test_moved_targets_keep_their_voxels_and_move_as_named() -> None:
    image = place(np.random.default_rng(0).normal(size=(9, 10, 11)).astype(np.float32))
    moved, turned = changes.offset(image), changes.rotation(image)
    for other in (moved, turned):
        assert np.array_equal(sitk.GetArrayFromImage(other), sitk.GetArrayFromImage(image))
    assert np.linalg.norm(np.subtract(moved.GetOrigin(), image.GetOrigin())) == pytest.approx(40)
    before, after = (np.reshape(i.GetDirection(), (3, 3)) for i in (image, turned))
    assert np.rad2deg(np.arccos((np.trace(after @ before.T) - 1) / 2)) == pytest.approx(60)
    middle = [(n - 1) / 2 for n in image.GetSize()]
    centers = [i.TransformContinuousIndexToPhysicalPoint(middle) for i in (image, turned)]
    assert centers[0] == pytest.approx(centers[1])


def test_lines_are_json_with_numbers_of_six_digits() -> None:
    assert json.dumps(runner.rounded({"a": [0.123456789, 3]})) == '{"a": [0.123457, 3]}'
