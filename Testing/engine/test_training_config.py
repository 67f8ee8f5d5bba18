"""Configurations: rows of an ablation upon a base, and an error that names the key for whatever is not understood."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.training.config import read_config
from JointRegSegLib.training.dataset import DataConfig
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


def test_settings_check_themselves(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read(tmp_path, 'base = "base.toml"\n[trainer]\naccumulate = 0\n')
    check_error(caught.value, Code.REQUEST_INVALID, "accumulate")
