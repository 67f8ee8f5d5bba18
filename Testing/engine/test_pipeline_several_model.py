"""Several atlases and a trained method: its segmentation votes once, with a weight learned from the atlases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from JointRegSegLib.fusion.leave_one_out import WEIGHTS
from JointRegSegLib.job import Atlas, Device, Fusion, Kind, Quality, Refinement, Request
from JointRegSegLib.job.result import ATLASES, CONFIDENCE, MANIFEST, Result
from JointRegSegLib.pipeline import model_vote, several
from JointRegSegLib.training.package import load_package, save_package
from JointRegSegLib.volumes import read_label_map
from Testing.engine.model_cases import trained_on_boxes
from Testing.engine.pipeline_cases import Told, mean_dice, run_quietly


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The data and a model of a few steps, as if validation had found its segmentation good."""
    trained = trained_on_boxes(tmp_path_factory.mktemp("trained"))
    weights, card = load_package(trained.model)
    model = tmp_path_factory.mktemp("trusted") / "model.safetensors"
    save_package(model, weights, replace(card, scores={"segmentation": 0.8, "registration": 0.8}))
    return trained.model.parents[1] / "data", model


def run_with(trusted: tuple[Path, Path], output: Path, **changes: Any) -> Told:
    boxes, model = trusted
    atlases = [Atlas(boxes / f"0{n}_mr.nii.gz", boxes / f"0{n}_labels.nii.gz", boxes / "table.txt") for n in (0, 1, 2)]
    usual = {"method": "deepatlas", "model": model, "start": "as-placed", "refinement": Refinement.IMAGES}
    usual |= {"quality": Quality.FAST, "device": Device.CPU, "threads": 1}
    return run_quietly(
        Request(tuple(atlases), **{"target": boxes / "05_mr.nii.gz", "output": output, **usual, **changes})
    )


def test_the_model_votes_once_with_a_learned_weight(trusted: tuple[Path, Path], tmp_path: Path) -> None:
    told = run_with(trusted, tmp_path / "out")
    facts = told.result.manifest
    assert facts["model_weight"] in WEIGHTS
    assert facts["fused"] is True
    said = [e.message for e in told.events if e.kind is Kind.LOG and e.message.startswith("The model's vote weighs")]
    assert len(said) == 1
    assert f"weighs {facts['model_weight']:g}," in said[0]
    for folder in (told.result.folder / ATLASES).iterdir():
        assert not (folder / CONFIDENCE).exists()  # the single atlas's labels are its own
        assert '"fused": false' in (folder / MANIFEST).read_text(encoding="utf-8")
    truth = read_label_map(trusted[0] / "05_labels.nii.gz").array
    assert mean_dice(read_label_map(told.result.folder / "labels.nii.gz").array, truth) > 0.6


def test_a_vote_of_great_weight_decides(
    trusted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for weight in (0.0, 1000.0):
        monkeypatch.setattr(model_vote, "learned_weight", lambda *arguments, weight=weight: weight)
        told = run_with(trusted, tmp_path / str(weight), fusion=Fusion.MAJORITY)
        found.append(read_label_map(told.result.folder / "labels.nii.gz").array)
    alone = run_with(trusted, tmp_path / "alone", fusion=Fusion.MAJORITY, model_votes=False)
    assert alone.result.manifest["model_weight"] is None
    assert (found[0] == read_label_map(alone.result.folder / "labels.nii.gz").array).all()
    assert (found[0] != found[1]).any()


def test_staple_hears_no_model(trusted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    combine = several.combine
    monkeypatch.setattr(several, "combine", lambda stack, how, opinion: seen.append(opinion) or combine(stack, how))
    result: Result = run_with(trusted, tmp_path / "out", fusion=Fusion.STAPLE).result
    assert seen == [None]
    assert result.manifest["fused"] is False
