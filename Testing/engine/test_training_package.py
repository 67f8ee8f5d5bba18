"""A model package is one file that says what it is, comes back bit for bit, and is refused where it is damaged."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import JointRegSegLib
from JointRegSegLib import methods
from JointRegSegLib.job import Code, JobError
from JointRegSegLib.training.card import KEY, Card, Structure, load_card
from JointRegSegLib.training.config import build
from JointRegSegLib.training.dataset import DataConfig, load_dataset
from JointRegSegLib.training.few_shot import FewShotView
from JointRegSegLib.training.package import describe, fit, load_package, save_package
from JointRegSegLib.training.subjects import read_subjects
from JointRegSegLib.training.trainer import Outcome
from Testing.engine.training_cases import SHAPE, ToyModel, loaded, write_data
from Testing.engine.volume_cases import check_error

ROOT = Path(__file__).resolve().parents[2]
CARD = Card(
    method="toy",
    config={"model": {"width": 4, "names": ["a", "b"]}, "loss": {"smooth": 0.5}},
    structures=(Structure(4, "Nebenniere größer", (1, 2, 3)), Structure(8, "liver", (9, 8, 7))),
    size=(8, 7, 6),
    spacing=(1.0, 1.5, 2.0),
    intensity="minmax",
    training={"steps": 10, "minutes": 0.5, "labelled": 2, "subjects": 6},
    scores={"segmentation": 0.75},
    licence="CC BY-SA 4.0",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A package of the toy model."""
    file = tmp_path / "toy.safetensors"
    save_package(file, ToyModel(norm=True).state_dict(), CARD)
    return file


def test_a_package_comes_back_bit_for_bit(path: Path) -> None:
    state, card = load_package(path)
    assert replace(card, digest="") == CARD
    assert card.classes == 3
    assert load_card(path) == card
    wanted = ToyModel(norm=True).state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) and state[name].dtype == wanted[name].dtype for name in state)
    other = ToyModel(norm=True)
    torch.nn.init.zeros_(other.seg[0].weight)
    fit(other, state, path)
    assert torch.equal(other.seg[0].weight, wanted["seg.0.weight"])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_trained_model_is_described_without_its_subjects(tmp_path: Path) -> None:
    data = loaded(write_data(tmp_path))
    config = DataConfig(2, structures={"both": (4, 8)})
    card = describe("toy", config, data, Outcome(True, 12, 90.0, {"": 0.5}), {"registration": 0.5}, "CC0")
    assert card.training == {"steps": 12, "minutes": 1.5, "labelled": 2, "subjects": 4}
    assert [(s.value, s.name) for s in card.structures] == [(4, "label 4"), (8, "label 8")]
    assert (card.size, card.spacing, card.intensity) == (SHAPE[::-1], (1.0, 1.0, 1.0), "minmax")
    assert build(DataConfig, card.config, "the card") == config
    assert card.software == JointRegSegLib.__version__ != ""
    assert Card.from_json(card.to_json()) == card
    assert str(tmp_path) not in card.to_json()
    assert not [name for name in (*data.labelled, *data.unlabelled) if f'"{name}' in card.to_json()]


def test_the_card_tells_which_values_a_class_stands_for(tmp_path: Path) -> None:
    view = FewShotView(read_subjects(write_data(tmp_path)), 2)
    config = DataConfig(2, structures={"both": (8, 4)})
    outcome = Outcome(True, 12, 90.0, {})
    cards = [
        describe("toy", wanted, load_dataset(view, wanted, "minmax"), outcome, {}, "")
        for wanted in (config, DataConfig(2))
    ]
    found = [[(s.value, s.values) for s in Card.from_json(card.to_json()).structures] for card in cards]
    assert found == [[(8, (8, 4))], [(4, (4,)), (8, (8,))]]
    without = json.loads(cards[1].to_json())
    for structure in without["structures"]:
        del structure["values"]  # a card from before this was told
    assert Card.from_json(json.dumps(without)) == cards[1]


def test_a_card_without_the_version_that_trained_it_is_read() -> None:
    card = replace(CARD, software="0.1.0")
    fields = json.loads(card.to_json())
    assert fields.pop("software") == "0.1.0"
    assert Card.from_json(json.dumps(fields)) == CARD


@pytest.mark.parametrize("preset", ["preset", "small", "axial", "pos_embed"])
def test_a_position_map_is_noted_with_the_grid_that_it_is_tied_to(preset: str) -> None:
    config = asdict(methods.read_settings("pgcnet", methods.presets("pgcnet")[preset]))
    card = Card.from_json(replace(CARD, method="pgcnet", config=config).to_json())
    assert card.has_position_map is (preset != "pos_embed")
    assert [("8 x 7 x 6 voxels of 1 x 1.5 x 2 mm" in note, "is resampled" in note) for note in card.notes] == (
        [(True, True)] if card.has_position_map else []
    )


def test_methods_without_a_position_map_have_no_such_note() -> None:
    for method in set(methods.METHODS) - {"pgcnet"}:
        config = asdict(methods.read_settings(method, methods.presets(method)["preset"]))
        assert replace(CARD, method=method, config=config).notes == ()


def test_the_card_is_read_without_torch(path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'safetensors', 'scipy', 'SimpleITK'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from JointRegSegLib.training.card import load_card\n"
        f"print(load_card(Path({str(path)!r})).method)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "toy", run.stderr


def test_a_missing_package_is_told(tmp_path: Path) -> None:
    for load in (load_card, load_package):
        with pytest.raises(JobError) as caught:
            load(tmp_path / "lost.safetensors")
        check_error(caught.value, Code.MODEL_MISSING, "lost.safetensors")


@pytest.mark.parametrize("place", ["first weight", "last weight", "cut short", "longer"])
def test_a_damaged_package_is_refused(place: str, path: Path) -> None:
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    if place == "first weight":
        data[8 + length] ^= 1
    elif place == "last weight":
        data[-1] ^= 1
    elif place == "cut short":
        del data[-7:]
    else:
        data += b"\0" * 16
    path.write_bytes(data)
    with pytest.raises(JobError) as caught:
        load_package(path)
    check_error(caught.value, Code.MODEL_INVALID, path, "damaged")


@pytest.mark.parametrize("what", ["empty", "text", "no card", "another version", "no card text", "zip"])
def test_another_file_is_no_package(what: str, path: Path) -> None:
    state = {"a": torch.zeros(2)}
    if what in ("empty", "text"):
        path.write_bytes(b"" if what == "empty" else b"not a model, but long enough to have a header's length\n")
    elif what == "zip":
        torch.save(state, path)
    elif what == "no card":
        save_file(state, path)
    elif what == "no card text":
        save_file(state, path, {KEY: "{}"})
    else:
        save_file(state, path, {KEY: json.dumps(json.loads(CARD.to_json()) | {"version": 99})})
    for load in (load_card, load_package):
        with pytest.raises(JobError) as caught:
            load(path)
        check_error(caught.value, Code.MODEL_INVALID, path, "no model package")


def test_weights_of_another_model_do_not_fit(path: Path) -> None:
    state, _ = load_package(path)
    with pytest.raises(JobError) as caught:
        fit(ToyModel(norm=False), state, path)
    check_error(caught.value, Code.MODEL_UNFIT, path)


def test_a_package_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        save_package(tmp_path / "nowhere" / "toy.safetensors", {}, CARD)
    check_error(caught.value, Code.OUTPUT_UNWRITABLE, "toy.safetensors")
