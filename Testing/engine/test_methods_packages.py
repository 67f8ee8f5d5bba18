"""Every method through the same commands: a package, its use on a pair, and its evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from JointRegSegLib import cli, methods
from JointRegSegLib.job import Code
from JointRegSegLib.job.result import CONFIDENCE, FIELD, MANIFEST
from JointRegSegLib.networks import placed
from JointRegSegLib.pipeline.trained import TrainedModel
from JointRegSegLib.study.train import Trained
from JointRegSegLib.training.card import load_card
from JointRegSegLib.training.checkpoints import read_state
from JointRegSegLib.training.package import load_package
from JointRegSegLib.training.trainer import CHECKPOINT
from Testing.engine.model_cases import SIZE, trained_on_boxes
from Testing.engine.tensor_cases import texture

SEGMENTING = sorted(set(methods.METHODS) - methods.REGISTERING)
STRIPPED = ("jrss", "mmln")
"""A student that its teacher has replaced, and branches."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """Method -> a model of a few steps; MMLN's saw no label."""
    others = sorted(set(methods.METHODS) - {"mmln"})
    found = {method: trained_on_boxes(tmp_path_factory.mktemp(method), method) for method in others}
    return {**found, "mmln": trained_on_boxes(tmp_path_factory.mktemp("mmln"), "mmln", labelled=0)}


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_package_holds_what_was_trained(method: str, trained: dict[str, Trained]) -> None:
    """The weights of the last checkpoint, without what only training needs; the fields are the same to the bit."""
    package = trained[method].model
    state, card = load_package(package)
    assert (card.method, card.licence, card.size) == (method, "free", SIZE)
    assert card.training["labelled"] == (0 if method == "mmln" else 2)
    kept = read_state(package.parent / CHECKPOINT)
    assert kept is not None
    whole = placed(methods.build(method, card.config, card.classes), "cpu")
    whole.load_state_dict(kept["model"])
    used = placed(methods.build(method, card.config, card.classes), "cpu")
    used.strip_training_branches()
    used.load_state_dict(state)
    assert set(state) <= set(kept["model"])
    assert (set(state) < set(kept["model"])) is (method in STRIPPED)
    scan, other = (texture(SIZE[::-1], seed=seed, dtype=torch.float32) for seed in (1, 2))
    with torch.no_grad():
        assert torch.equal(used.eval().register(scan, other), whole.eval().register(scan, other))


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_package_is_evaluated_by_the_command(method: str, trained: dict[str, Trained], tmp_path: Path) -> None:
    package = trained[method].model
    words = ["evaluate", "--model", str(package), "--data", str(package.parents[1] / "data"), "--split", "val"]
    words += ["--atlases", "1", "--refine", "none", "--quality", "fast", "--start", "as-placed", "--quiet"]
    assert cli.main([*words, "--output", str(tmp_path / "out"), "--device", "cpu", "--threads", "1"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    sources = {"registration", "segmentation", "fused"} if method in SEGMENTING else {"registration"}
    assert [set(line["dice"]) for line in lines] == [sources] * 2


@pytest.mark.parametrize("method", methods.METHODS)
def test_a_package_tells_whether_it_segments(method: str, trained: dict[str, Trained]) -> None:
    model = TrainedModel.load(trained[method].model, method, torch.device("cpu"))
    assert model.segments is (method in SEGMENTING)


def test_a_run_of_a_method_without_segmentation_carries_labels_and_says_so(
    trained: dict[str, Trained], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = trained["mmln"].model
    data = package.parents[1] / "data"
    words = ["run", "--model", str(package), "--atlas", str(data / "00_mr.nii.gz")]
    words += ["--atlas-labels", str(data / "00_labels.nii.gz"), "--target", str(data / "05_mr.nii.gz")]
    words += ["--quality", "fast", "--start", "as-placed", "--device", "cpu", "--threads", "1"]
    assert cli.main([*words, "--output", str(tmp_path / "out")]) == 0
    assert "labels are not fused: the method does not segment" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text(encoding="utf-8"))
    assert (manifest["method"], manifest["refinement"], manifest["fused"]) == ("mmln", "images", False)
    assert (tmp_path / "out" / FIELD).exists()
    assert not (tmp_path / "out" / CONFIDENCE).exists()
    assert cli.main([*words, "--output", str(tmp_path / "joint"), "--refine", "joint"]) == 2
    assert f"error [{Code.MODEL_UNFIT.value}]: " in capsys.readouterr().err


def test_methods_without_labels_say_so_before_they_are_trained(
    trained: dict[str, Trained], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for method in methods.WITHOUT_LABELS:
        assert "it does not segment, the atlas's labels are carried over" in methods.METHODS[method]
        assert methods.METHODS[method] in said
        assert load_card(trained[method].model).training["labelled"] == 0
