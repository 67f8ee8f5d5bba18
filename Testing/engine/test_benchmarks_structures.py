"""Each structure's Dice: names, the table of the lowest, and pictures of parts that have lines."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.benchmarks import __main__ as command
from Testing.benchmarks import fusions_tables, pictures, structures, structures_tables, subjects, tables
from Testing.benchmarks.fusions import FUSIONS, Fusing
from Testing.benchmarks.parts import PARTS, Row
from Testing.benchmarks.rows import Line, Store
from Testing.rig.need import need

LPBA40 = subjects.scored(Path(), "lpba40") or []


def line_of(row: Row | Fusing, values: list[int], dice: float, **more: Any) -> Line:
    """A finished line with made-up figures: every structure as good as its place says."""
    keys = ("sdlogj", "folding_percent", "cpu_seconds", "seconds", "peak_mb", "registration_cpu_seconds")
    each = {str(value): round(dice * (place + 1) / len(values), 4) for place, value in enumerate(values)}
    return {
        "row": row.name,
        "part": row.part,
        "key": row.key,
        "code": "convexAdam 0" if row.method == "convexadam" else "engine a",
        "commit": "c0ffee",
        "date": "2026-01-01",
        "settings": row.settings,
        "budget": asdict(row.budget),
        "machine": {"processor": "P", "cores": 2},
        **dict.fromkeys((*keys, "command_cpu_seconds", "command_peak_mb", "command_seconds"), 0.5),
        "dice": dice,
        "dice_each": each,
        **more,
    }


def filled(folder: Path) -> Store:
    """Lines of all pairs of abdomens, and of the fusions on three brains of LPBA40."""
    store, random = Store(folder), np.random.default_rng(0)
    for row in PARTS["abdomen-pairs"].rows:
        best = 0.9 if row.method == "normal" else 0.5
        cautions = ["labels-cut"] if row.name.endswith("02-03/normal") else []
        store.add(line_of(row, list(range(1, 14)), best * random.uniform(0.8, 1.0), cautions=cautions))
    for one in FUSIONS["fusion-lpba40"].rows:
        store.add(line_of(one, LPBA40, random.uniform(0.7, 0.8)))
    return store


def test_cerebellum_and_brain_stem_of_lpba40_are_not_scored(tmp_path: Path) -> None:
    assert len(LPBA40) == len(set(LPBA40)) == 54
    assert not {181, 182} & set(LPBA40)
    assert subjects.scored(tmp_path, "abdomen_ct") is None


def test_structures_are_named_where_names_are_known() -> None:
    assert structures.named("abdomen_ct", 9) == "inferior vena cava"
    assert structures.named("abdomen_ct", 14) == "14"
    assert structures.named("lpba40", 165) == "limbic 165"
    assert structures.named("oasis", 48) == "Left Hippocampus"
    assert structures.named("lpba40", 181) == "181"
    assert structures.named("oasis", 1) == "1"


def test_the_lowest_structures_come_first_and_lost_ones_are_counted(tmp_path: Path) -> None:
    row = PARTS["abdomen-pairs"].rows[0]
    lines = [{"dice_each": {"6": 0.9, "4": 0.05}}, {"dice_each": {"6": 0.8, "4": 0.25}}]
    scores = structures_tables.collected([("ours", row.dataset, line) for line in lines])
    assert scores == {"ours": {"gallbladder": [0.05, 0.25], "liver": [0.9, 0.8]}}
    text = "\n".join(structures_tables.section("a", scores, tmp_path, "x"))
    assert "| gallbladder | 0.150 (1) |\n| liver | 0.850 |" in text
    assert structures_tables.section("a", {}, tmp_path, "x") == []


def test_the_page_of_pairs_shows_structures_and_cautions(tmp_path: Path) -> None:
    text = tables.page_text(filled(tmp_path).folder).split("## abdomen-pairs\n")[1].split("\n## ")[0]
    assert "| structure | normal | convexadam |" in text
    assert "| spleen | 0.0" in text
    assert "`labels-cut` at 02 to 03 (normal)." in text
    assert "| convexadam | - | 12 of 12 |" in text
    assert "convexAdam 0" in text
    assert "Rows not run: none." in text
    assert ".png" not in text


def test_each_part_of_the_fusions_has_its_section(tmp_path: Path) -> None:
    text = fusions_tables.page_text(filled(tmp_path))
    sections = {name: text.split(f"## {name}\n")[1].split("\n## ")[0] for name in FUSIONS}
    assert "| 5 | normal | joint | 3 | 0.7" in sections["fusion-lpba40"]
    assert "| structure | normal, joint | normal, majority | normal, local | greedy, majority |" in text
    assert "Rows not run: none." in sections["fusion-lpba40"]
    assert sections["fusion-abdomen"].count("`fusion-abdomen/") == len(FUSIONS["fusion-abdomen"].rows) == 12
    assert "wanted" not in text


def test_pictures_are_drawn_of_parts_with_lines_and_linked(tmp_path: Path) -> None:
    need("matplotlib", "matplotlib")
    store = filled(tmp_path)
    scores = tables.scores(store) | fusions_tables.scores(store)
    made = pictures.draw_all(tmp_path, scores)
    assert [file.name for file in made] == ["abdomen-pairs.png", "fusion-lpba40.png"]
    assert all(0 < file.stat().st_size < 200_000 for file in made)
    assert f"]({tmp_path.name}/abdomen-pairs.png)" in tables.page_text(tmp_path)
    assert f"](../{tmp_path.name}/fusion-lpba40.png)" in fusions_tables.page_text(store)
    before = made[0].read_bytes()
    pictures.draw_all(tmp_path, scores)
    assert made[0].read_bytes() == before


def test_tables_keep_lines_draw_and_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("matplotlib", "matplotlib")
    pages = {"KEPT": "docs/benchmarks", "PAGE": "docs/benchmarks.md", "METHOD_PAGES": "docs/methods"}
    for name, place in {"ROOT": "", "RESULTS": "results", **pages}.items():
        monkeypatch.setattr(command, name, tmp_path / place)
    (tmp_path / "docs" / "methods").mkdir(parents=True)
    filled(tmp_path / "results")
    assert command.main(["--tables"]) == 0
    assert len(Store(tmp_path / "docs" / "benchmarks").lines("abdomen-pairs")) == 24
    for page, link in (("benchmarks.md", "benchmarks/abdomen-pairs.png"), ("methods/fusion.md", "fusion-lpba40.png")):
        assert f"{link})" in (tmp_path / "docs" / page).read_text(encoding="utf-8")


def test_pages_do_without_pictures_where_matplotlib_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    store = filled(tmp_path)
    (tmp_path / "abdomen-pairs.png").touch()
    assert pictures.draw_all(tmp_path, tables.scores(store)) == []
    assert "jointregseg[report]" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))
