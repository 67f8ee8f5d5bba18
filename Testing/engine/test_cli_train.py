"""The command `train`: what it writes, how it stops and goes on, what it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch

from JointRegSegLib import cli, methods
from JointRegSegLib.job import Code
from JointRegSegLib.service.training_client import TrainingRequest
from JointRegSegLib.study.train import Training, changed_settings
from JointRegSegLib.training.card import load_card
from JointRegSegLib.training.curves import read_curves
from JointRegSegLib.training.package import fit, load_package
from Testing.engine.model_cases import SIZE, short_preset, write_boxes

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_boxes(tmp_path_factory.mktemp("boxes"))


def _command(data: Path, folder: Path, *more: str) -> list[str]:
    preset = short_preset(data, "deepatlas")
    asked = ["train", "--method", "deepatlas", "--data", str(data), "--output", str(folder), "--preset", str(preset)]
    return [*asked, "--device", "cpu", "--threads", "1", *more]


def test_training_ends_with_a_package_that_knows_what_it_is(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--labelled", "2", "--seed", "4", "--licence", "free for all", "--label-table", str(data / "table.txt")]
    assert cli.main(_command(data, tmp_path / "out", *more)) == 0
    said = capsys.readouterr()
    model = tmp_path / "out" / "model.safetensors"
    assert said.out.rstrip().endswith(f"model: {model}")
    assert "25 steps" in said.out
    assert "validation Dice, segmentation" in said.out
    assert "2 labelled and 2 unlabelled scans, 2 to validate" in said.err
    assert "caution" not in said.err
    assert "train: step 1 of about 25" in said.err
    card = load_card(model)
    assert (card.method, card.licence, card.size) == ("deepatlas", "free for all", SIZE)
    assert [(s.value, s.name) for s in card.structures] == [(2, "left box"), (5, "right box")]
    assert (card.training["labelled"], card.training["subjects"], card.config["trainer"]["seed"]) == (2, 4, 4)
    assert set(card.scores) == {"segmentation", "registration", "optimisation", "fused"}
    assert 0 < card.scores["optimisation"] <= 1
    weights, _ = load_package(model)
    fit(methods.build(card.method, card.config, card.classes), weights, model)
    steps = [line["step"] for line in read_curves(tmp_path / "out" / "curves.jsonl") if "phase" in line]
    assert steps == list(range(1, 26))


def test_every_labelled_training_scan_counts_unless_told_otherwise(data: Path, tmp_path: Path) -> None:
    assert cli.main(_command(data, tmp_path / "out", "--max-minutes", "0.0001", "--quiet")) == 0
    assert load_card(tmp_path / "out" / "model.safetensors").training["labelled"] == 4


def test_a_training_that_nothing_validates_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_boxes(tmp_path / "boxes")
    for name in ("04", "05"):
        (data / f"{name}_labels.nii.gz").unlink()
    assert cli.main(_command(data, tmp_path / "out", "--max-minutes", "0.0001")) == 0
    said = capsys.readouterr().err
    assert "4 labelled and 0 unlabelled scans, 0 to validate" in said
    assert "caution [no-validation]: No scan validates, for want of labels of 04_mr, 05_mr. The model keeps" in said
    assert load_card(tmp_path / "out" / "model.safetensors").scores == {}


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT as a POSIX shell does")
def test_an_interrupted_run_goes_on_to_the_same_losses_and_is_never_overwritten(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(_command(data, whole, "--labelled", "2", "--quiet")) == 0
    assert _interrupted([sys.executable, "-m", "JointRegSegLib.cli", *_command(data, parts, "--labelled", "2")]) == 130
    steps = [line["step"] for line in read_curves(parts / "curves.jsonl")]
    assert 0 < len(steps) < 25
    assert load_card(parts / "model.safetensors").training["steps"] == len(steps)
    assert cli.main(_command(data, parts, "--labelled", "2")) == 2
    assert "error [output-exists]" in capsys.readouterr().err
    (whole / "checkpoint.pt").unlink()
    assert cli.main(_command(data, whole, "--labelled", "2")) == 2  # a model alone is not overwritten either
    assert "error [output-exists]" in capsys.readouterr().err
    for changed in (["--labelled", "3"], [], ["--labelled", "2", "--seed", "9"]):
        assert cli.main(_command(data, parts, *changed, "--resume")) == 2
        name = "trainer.seed was 0" if "--seed" in changed else "data.labelled was 2"
        assert name in capsys.readouterr().err
    assert cli.main(_command(data, parts, "--labelled", "2", "--resume", "--quiet")) == 0
    ours, theirs = (list(read_curves(folder / "curves.jsonl")) for folder in (parts, whole))
    assert [line["total"] for line in ours] == [line["total"] for line in theirs]


def test_the_panel_and_the_console_can_ask_for_all_that_the_shell_can() -> None:
    assert {field.name for field in fields(TrainingRequest)} == {field.name for field in fields(Training)}


def test_a_preset_of_ones_own_is_found_by_a_process_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for preset, sent in (("own.toml", str(tmp_path / "own.toml")), ("small", "small")):
        asked = TrainingRequest("jrss", Path("scans"), Path("trained"), preset)
        assert TrainingRequest.from_json(asked.to_json()).preset == sent


def test_a_setting_that_an_earlier_version_did_not_know_had_its_default(tmp_path: Path) -> None:
    settings = methods.read_settings("pgcnet", methods.presets("pgcnet")["small"])
    kept = json.loads(json.dumps(asdict(settings)))
    del kept["model"]["finest_level"]
    (tmp_path / "settings.json").write_text(json.dumps(kept), encoding="utf-8")
    assert changed_settings(tmp_path / "settings.json", settings) == ["model.finest_level was 1"]


def _interrupted(command: list[str]) -> int:
    """The exit status of a training that is interrupted once it has begun."""
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "train: step" not in (line := process.stderr.readline()):
            assert line, "ended early"
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        status = process.wait(30)
    assert "Stopping after this step" in rest
    assert "Traceback" not in rest
    assert time.monotonic() - before < 15
    return status


def test_what_cannot_be_trained_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases: list[tuple[list[str], Code]] = [
        (["--preset", "unheard-of"], Code.REQUEST_INVALID),
        (["--labelled", "5"], Code.DATA_INVALID),
        (["--labelled", "0"], Code.DATA_INVALID),
        (["--threads", "0"], Code.REQUEST_INVALID),
        (["--seed", "-1"], Code.REQUEST_INVALID),
        (["--seed", "99999999999999999999"], Code.REQUEST_INVALID),
        (["--max-minutes", "-1"], Code.REQUEST_INVALID),
        (["--max-minutes", "nan"], Code.REQUEST_INVALID),
        (["--data", str(tmp_path / "none")], Code.FILE_MISSING),
    ]
    for more, code in cases:
        assert cli.main(_command(data, tmp_path / "out", *more, "--quiet")) == 2
        said = capsys.readouterr().err
        assert f"error [{code.value}]: " in said
        assert "what to do: " in said
        assert not (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_missing_library_is_named(command: str, data: Path, tmp_path: Path) -> None:
    method = ["--method", "deepatlas"] if command == "train" else ["--model", "any"]
    words = [command, *method, "--data", str(data), "--output", str(tmp_path / "out"), "--quiet"]
    blocked = (
        f"import sys; sys.modules['safetensors'] = None; from JointRegSegLib import cli; sys.exit(cli.main({words}))"
    )
    found = subprocess.run([sys.executable, "-c", blocked], cwd=REPOSITORY, capture_output=True, text=True, timeout=100)
    assert found.returncode == 3
    assert f"error [{Code.WORKER_NOT_STARTED.value}]: A library is missing in " in found.stderr
    assert "pip install safetensors" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("settings", "code", "status", "advice"),
    [
        ("[data]\nsize = [90000, 90000, 90000]", Code.OUT_OF_MEMORY, 3, "checkpoint_activations"),
        ("", Code.INTERNAL, 1, "report"),
    ],
)
def test_what_nobody_foresaw_ends_in_an_error_and_a_log(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    settings: str,
    code: Code,
    status: int,
    advice: str,
) -> None:
    if not settings:
        monkeypatch.setattr("JointRegSegLib.study.train.team", lambda device: 1 / 0)
    preset = tmp_path / "own.toml"
    preset.write_text(f'base = "{methods.presets("deepatlas")["preset"]}"\n{settings}\n')
    assert cli.main(_command(data, tmp_path / "out", "--preset", str(preset), "--quiet")) == status
    said = capsys.readouterr().err
    assert f"error [{code.value}]: " in said
    assert advice in said.partition("what to do: ")[2]
    assert "Traceback" not in said
    log = Path(said.partition("log: ")[2].splitlines()[0])
    assert "Traceback" in log.read_text(encoding="utf-8")
    log.unlink()
