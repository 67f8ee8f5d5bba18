"""Benchmarks of several atlases: rows, what they depend on, and the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.phantom import PhantomFiles
from Testing.benchmarks import fusions_run, fusions_tables, subjects
from Testing.benchmarks.__main__ import KINDS
from Testing.benchmarks.fusions import FIVE, FUSIONS, OASIS, PEER, TARGETS, WAYS, Fusing
from Testing.benchmarks.parts import Budget
from Testing.benchmarks.rows import Line, Store

ROWS = FUSIONS["fusion"].rows


def line_of(row: Fusing, dice: float, cpu: float = 8.0) -> Line:
    return {
        "row": row.name,
        "part": row.part,
        "key": row.key,
        "code": "engine a",
        "commit": "c0ffee",
        "settings": row.settings,
        "machine": {"processor": "P", "cores": 2},
        "dice": dice,
        "cpu_seconds": cpu,
        "command_peak_mb": 1200.0,
        "registration_cpu_seconds": 100.0,
    }


def test_rows_are_distinct_and_no_target_is_its_own_atlas() -> None:
    assert len({row.name for row in ROWS}) == len({row.key for row in ROWS}) == len(ROWS)
    assert all(row.target not in row.atlases for row in ROWS)
    assert {len(row.atlases) for row in ROWS} == {5, 14}
    assert {row.target for row in ROWS} == set(TARGETS)
    assert not set(FIVE) & set(TARGETS)
    assert len(OASIS) == 15
    assert any(part is FUSIONS for part, _ in KINDS)


def test_the_other_parts_take_eight_subjects_by_id() -> None:
    wanted = {"fusion-abdomen": ("04", ["05", "06", "07"]), "fusion-lpba40": ("S15", ["S16", "S17", "S18"])}
    for name, (last, targets) in wanted.items():
        rows = FUSIONS[name].rows
        assert len({row.name for row in rows}) == len(rows) == 12
        assert {(row.part, len(row.atlases), row.atlases[-1]) for row in rows} == {(name, 5, last)}
        assert sorted({row.target for row in rows}) == targets
        assert all({(row.registered, row.method) for row in rows if row.target == one} == set(WAYS) for one in targets)


def test_the_page_compares_with_greedy_and_with_ants(tmp_path: Path) -> None:
    assert len(ROWS) == fusions_tables.page_text(Store(tmp_path)).count("`fusion/")
    store = Store(tmp_path)
    for row in ROWS:
        if len(row.atlases) == 5 and (row.registered, row.method) in {("normal", "joint"), ("greedy", "majority")}:
            store.add(line_of(row, 0.75 if row.method == "joint" else 0.735))
        if row.method == PEER:
            store.add(line_of(row, 0.7, 900.0))
    text = fusions_tables.page_text(store)
    assert "| 5 atlases: Dice | at least 0.735 | 0.75 | met |" in text
    assert "| 5 atlases: Dice above the majority of greedy's | at least 0.02 | 0.015 | missed by 0.005 |" in text
    assert "| 5 atlases: CPU s, a twentieth of ANTs | at most 45 | 8 | met |" in text
    assert "| 5 | normal | joint | 4 | 0.7500 | 8.0 | 1200 | 20.0 |" in text
    assert "`fusion/oasis/5-1012/normal/joint`" not in text


def test_a_row_registers_once_fuses_and_scores(
    files: PhantomFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusions_run, "REGISTERED", tmp_path / "registered")
    data = tmp_path / "data"
    (data / "oasis").mkdir(parents=True)
    for subject, image, labels in (("A", files.atlas, files.atlas_labels), ("T", files.target, files.target_labels)):
        sitk.WriteImage(sitk.ReadImage(str(image)), str(subjects.image(data, "oasis", subject)))
        sitk.WriteImage(sitk.ReadImage(str(labels)), str(subjects.labels(data, "oasis", subject)))
    values = np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(files.target_labels))))[1:]
    table = "value,name,scored\n" + "".join(f"{value},s{value},1\n" for value in values)
    (data / "oasis" / "labels.csv").write_text(table, encoding="utf-8")
    row = Fusing("oasis", ("A", "B"), "T", "fast", "joint", Budget(1, "cpu", 300))
    assert {file.name for file in fusions_run.missing([row], data)} == {"B_t1.nii.gz", "B_labels.nii.gz"}
    row = replace(row, atlases=("A", "A"))
    before = fusions_run.seconds_of(row)
    line = fusions_run.measure(row, data, "engine a")
    assert "error" not in line, line
    assert line["dice"] > 0.6
    assert line["registration_cpu_seconds"] > 0
    assert fusions_run.seconds_of(row) < before
    assert len(list((tmp_path / "registered").rglob("outcome.json"))) == 1
    assert not list((tmp_path / "registered").rglob(".part-*"))
