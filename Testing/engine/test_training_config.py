"""Configurations: rows of an ablation upon a base, and an error that names the key for whatever is not understood."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.training.config import read_config
from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.ranges import Axis, Count, Positive, Seed, Share, SomeShare, Weight, Whole
from JointRegSegLib.training.trainer import TrainerConfig
from Testing.engine.volume_cases import check_error


@dataclass(frozen=True)
class Model:
    width: int
    leak: float = 0.2
    norm: Literal["batch", "none"] = "batch"
    levels: tuple[int, ...] = (1, 2)
    grid: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Toy:
    method: str
    model: Model
    data: DataConfig = field(default_factory=DataConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


BASE = """
method = "toy"
[model]
width = 8
leak = 1
norm = "none"
[data]
labelled = 5
spacing = [1, 1.5, 2]
structures = { frontal = [21, 22], limbic = [121] }
"""


def read(folder: Path, text: str, name: str = "row.toml") -> Toy:
    (folder / "base.toml").write_text(BASE)
    (folder / name).write_text(text)
    return read_config(folder / name, Toy)


def test_a_row_changes_what_it_says_and_keeps_the_rest(tmp_path: Path) -> None:
    row = read(tmp_path, 'base = "base.toml"\n[model]\nnorm = "batch"\ngrid = [1, 2, 3]\n[trainer]\nseed = 4\n')
    assert row.model == Model(8, 1.0, "batch", (1, 2), (1.0, 2.0, 3.0))
    assert isinstance(row.model.leak, float)
    assert row.data == DataConfig(5, (), (1.0, 1.5, 2.0), {"frontal": (21, 22), "limbic": (121,)})
    assert row.trainer == TrainerConfig(seed=4)


def test_bases_have_bases_beside_them(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    read(tmp_path, "base = '../base.toml'\n[model]\nwidth = 16\nleak = 0.5", "rows/wide.toml")
    row = read(tmp_path, "base = 'wide.toml'\n[model]\nleak = 0.1", "rows/both.toml")
    assert (row.model.width, row.model.leak, row.model.norm) == (16, 0.1, "none")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[model]\nwidht = 3", "model.widht"),
        ("modle = 3", "modle"),
        ("[trainer]\nseed = 1\n[trainer.more]\na = 1", "trainer.more"),
        ("[model]\nwidth = 1.5", "model.width"),
        ("[model]\nwidth = true", "model.width"),
        ("[model]\nwidth = '3'", "model.width"),
        ("[model]\nnorm = 'group'", "batch, none"),
        ("[model]\ngrid = [1, 2]", "model.grid"),
        ("[model]\nlevels = [1, 'a']", "model.levels"),
        ("[data]\nstructures = { limbic = ['a'] }", "data.structures.limbic"),
        ("model = 3", "model is no section"),
        ("[model\nwidth = 3", "line 2"),
    ],
)
def test_what_is_not_understood_is_named(text: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read(tmp_path, f'base = "base.toml"\n{text}\n')
    check_error(caught.value, Code.REQUEST_INVALID, word, "row.toml")


def test_a_value_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read(tmp_path, "method = 'toy'\n[model]\nleak = 0.1\n")
    check_error(caught.value, Code.REQUEST_INVALID, "model.width is missing")


def test_files_that_are_each_others_base_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "b.toml"')
    (tmp_path / "b.toml").write_text('base = "a.toml"')
    with pytest.raises(JobError) as caught:
        read_config(tmp_path / "a.toml", Toy)
    check_error(caught.value, Code.REQUEST_INVALID, "a.toml", "its own base")
    (tmp_path / "a.toml").write_text('base = "lost.toml"')
    with pytest.raises(JobError) as caught:
        read_config(tmp_path / "a.toml", Toy)
    check_error(caught.value, Code.FILE_MISSING, "lost.toml")
    (tmp_path / "a.toml").write_text("base = 3")
    with pytest.raises(JobError) as caught:
        read_config(tmp_path / "a.toml", Toy)
    check_error(caught.value, Code.REQUEST_INVALID, "a.toml", "base is 3")


def test_a_base_is_a_preset_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    read(tmp_path, "base = '../base.toml'\n[model]\nwidth = 16", "presets/wide.toml")
    known = {"wide": tmp_path / "presets" / "wide.toml"}
    (tmp_path / "wide.toml").write_text("base = 'wide'\n[model]\nleak = 0.1")  # its own name is no path of its own
    row = read_config(tmp_path / "wide.toml", Toy, known)
    assert (row.model.width, row.model.leak, row.model.norm) == (16, 0.1, "none")
    (tmp_path / "wide.toml").write_text("base = 'wode'")
    for presets, words in ((known, "not one of wide or a .toml file"), ({}, "not a .toml file")):
        with pytest.raises(JobError) as caught:
            read_config(tmp_path / "wide.toml", Toy, presets)
        check_error(caught.value, Code.REQUEST_INVALID, "wide.toml", f"base is 'wode', {words}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trainer]\naccumulate = 0", "trainer.accumulate is 0, not a number of 1 or more"),
        ("[trainer]\nvalidate_every = -1", "trainer.validate_every is -1, not a number of 0 or more"),
        ("[trainer]\nseed = 99999999999999999999", "trainer.seed is 99999999999999999999, not"),
        ("[trainer]\ncheckpoint_seconds = inf", "trainer.checkpoint_seconds is inf, not"),
        ("[data]\nlabelled = -1", "data.labelled is -1, not a number of 0 or more"),
        ("[data]\nsize = [8, 0, 8]", "data.size is 0, not a number of 1 or more"),
        ("[data]\nspacing = [1, nan, 1]", "data.spacing is nan, not a number above 0"),
        ("[data]\nspacing = [1, 1]", "Give three numbers above 0"),
        ("[model]\ngrid = [1, 2]", "model.grid is [1, 2], not a list of 3"),
    ],
)
def test_a_value_beyond_its_range_is_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read(tmp_path, f'base = "base.toml"\n{text}\n')
    assert caught.value.code is Code.REQUEST_INVALID
    assert words in f"{caught.value.message} {caught.value.advice}"


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        (Whole, (0, 7), (-1,)),
        (Count, (1, 7), (0, -1)),
        (Axis, (0, 2), (-1, 3)),
        (Seed, (0, 2**63 - 1), (-1, 2**63)),
        (Weight, (0, 1e9), (-1e-9, math.inf, math.nan)),
        (Positive, (1e-9, 3), (0, -1, math.inf, math.nan)),
        (Share, (0, 1), (-0.1, 1.1, math.nan)),
        (SomeShare, (0.1, 1), (0, 1.1, math.nan)),
    ],
)
def test_ranges_hold_what_they_say(kind: Any, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    (found,) = kind.__metadata__
    assert all(found.holds(value) for value in inside)
    assert not any(found.holds(value) for value in outside)
