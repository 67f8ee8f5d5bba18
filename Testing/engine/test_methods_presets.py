"""Presets: all are read, each row of an ablation switches one thing, a card's configuration builds the same model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import tomllib

from JointRegSegLib import methods
from JointRegSegLib.job import Code, JobError
from Testing.engine.method_cases import CLASSES, made, method_dataset, settings_of
from Testing.engine.volume_cases import check_error

REPOSITORY = Path(__file__).resolve().parents[2]
EVERY = [(method, name) for method in methods.METHODS for name in methods.presets(method)]
SIZED = {"small", "lpba40", "tcia", "brain"}
"""Presets for a data set, which set what it needs."""


def leaves(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted name -> value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= leaves(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return found


def flat(method: str, path: Path) -> dict[str, Any]:
    return leaves(asdict(methods.read_settings(method, path)))


@pytest.mark.parametrize("method", methods.METHODS)
def test_each_method_has_its_presets(method: str) -> None:
    alone = set() if method == "synthmorph" else {"mono", "small_mono"}  # it has one task and nothing to couple
    assert {methods.PRESET, "small", *alone} <= set(methods.presets(method))


@pytest.mark.parametrize(("method", "name"), EVERY)
def test_a_preset_is_read_and_plans_training(method: str, name: str) -> None:
    settings = settings_of(method, name)
    _, strategy = made(method, settings, method_dataset(2))
    assert strategy.total_steps == sum(phase.steps for phase in strategy.phases()) > 0


@pytest.mark.parametrize(("method", "name"), [(m, n) for m, n in EVERY if n != methods.PRESET and n not in SIZED])
def test_a_row_of_an_ablation_switches_one_thing(method: str, name: str) -> None:
    path = methods.presets(method)[name]
    base = path.parent / tomllib.loads(path.read_text(encoding="utf-8"))["base"]
    ours, theirs = flat(method, path), flat(method, base)
    assert len([key for key in ours if ours[key] != theirs[key]]) == 1
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 3


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_users_file_stands_on_a_preset_by_its_name(method: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('base = "small"\n[trainer]\nseed = 77\n')
    ours, small = flat(method, tmp_path / "own.toml"), flat(method, methods.presets(method)["small"])
    assert {key: ours[key] for key in ours if ours[key] != small[key]} == {"trainer.seed": 77}


def _unbounded(kind: Any, name: str) -> list[str]:
    """Numbers in a configuration that may be anything."""
    if is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return [found for field in fields(kind) for found in _unbounded(hints[field.name], f"{name}.{field.name}")]
    if get_origin(kind) is Annotated:
        return []
    return [name] if kind in (int, float) else [x for part in get_args(kind) for x in _unbounded(part, name)]


@pytest.mark.parametrize("method", methods.METHODS)
def test_every_number_has_a_range(method: str) -> None:
    kind = type(settings_of(method, methods.PRESET))
    # Values of structures are checked by `DataConfig`, which says more of them than a range can.
    assert [name for name in _unbounded(kind, method) if not name.endswith("data.structures")] == []


@pytest.mark.parametrize(
    ("method", "line", "words"),
    [
        ("deepatlas", "[strategy]\nbatch = 0", "strategy.batch is 0, not a number of 1 or more"),
        ("deepatlas", "[strategy]\nflips = [3]", "strategy.flips is 3, not 0, 1 or 2"),
        ("deepatlas", "[strategy]\nshares = [1, 0, 1]", "strategy.shares is 0.0, not a number above 0"),
        ("jrss", "[loss]\nwarm_up_steps = 0", "loss.warm_up_steps is 0, not a number of 1 or more"),
        ("jrss", "[strategy]\ntau = 1.5", "strategy.tau is 1.5, not a number from 0 to 1"),
        ("jrss", "[noise]\ndropout = -0.5", "noise.dropout is -0.5, not a number from 0 to 1"),
        ("pgcnet", "[strategy]\nlr = 0", "strategy.lr is 0.0, not a number above 0"),
        ("bijros", "[strategy]\nscale = [0, 1]", "strategy.scale is 0.0, not a number above 0"),
        ("mmln", "[strategy]\nsteps = [1, 2, -3]", "strategy.steps is -3, not a number of 0 or more"),
    ],
)
def test_a_number_beyond_its_range_is_named(method: str, line: str, words: str, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f'base = "{methods.presets(method)["preset"].as_posix()}"\n{line}\n')
    with pytest.raises(JobError) as caught:
        methods.read_settings(method, own)
    check_error(caught.value, Code.REQUEST_INVALID, words, "own.toml")


@pytest.mark.parametrize("method", methods.METHODS)
def test_the_configuration_in_a_card_builds_the_same_model(method: str) -> None:
    settings = settings_of(method)
    card = json.loads(json.dumps(asdict(settings)))
    ours, theirs = methods.build(method, settings, CLASSES), methods.build(method, card, CLASSES)
    assert repr(ours) == repr(theirs)
    assert ours.input_spec == theirs.input_spec
    card["model"]["depth"] = 7
    with pytest.raises(JobError) as caught:
        methods.build(method, card, CLASSES)
    check_error(caught.value, Code.REQUEST_INVALID, "model.depth")


def test_what_cannot_be_trained_is_refused() -> None:
    with pytest.raises(JobError) as caught:
        methods.presets("atlas")
    check_error(caught.value, Code.REQUEST_INVALID, "atlas")
    for method, labelled, subjects in (("deepatlas", 0, 4), ("deepatlas", 1, 2), ("mmln", 0, 2)):
        settings, dataset = settings_of(method), method_dataset(labelled, subjects)
        with pytest.raises(JobError) as caught:
            made(method, settings, dataset)
        check_error(caught.value, Code.DATA_INVALID, f"on {subjects - 1} scans of which {labelled}")
        assert ("labelled" in caught.value.advice) is (method not in methods.WITHOUT_LABELS)


def test_methods_are_listed_without_pytorch() -> None:
    script = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['numpy'] = None\n"
        "from JointRegSegLib import methods\n"
        "assert all(methods.presets(name) for name in methods.METHODS)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
