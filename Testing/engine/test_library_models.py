"""Installed models: imported whole, found by name, listed without PyTorch, removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from JointRegSegLib import cli
from JointRegSegLib.job import Code, JobError
from JointRegSegLib.library.models import find_model, import_model, installed_models, remove_model
from JointRegSegLib.training.card import Card, Structure
from Testing.rig.need import need

torch = need("torch")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model package; the user's folder is elsewhere in `tmp_path`."""
    from JointRegSegLib.training.package import save_package

    monkeypatch.setenv("JOINTREGSEG_HOME", str(tmp_path / "home"))
    card = Card(
        method="jrss",
        config={},
        structures=(Structure(1, "cortex", (1, 2, 3)),),
        size=(8, 8, 8),
        spacing=(2.0, 2.0, 2.5),
        intensity="unit",
        training={"labelled": 5, "subjects": 40},
        scores={"registration": 0.75},
        licence="CC0\nmore",
    )
    path = tmp_path / "model.safetensors"
    save_package(path, {"weight": torch.arange(8.0)}, card)
    return path


def _refused(code: Code, call: object, *arguments: object) -> None:
    with pytest.raises(JobError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.code is code
    assert caught.value.advice


def test_an_imported_model_is_found_by_its_name(package: Path) -> None:
    assert installed_models() == ()
    model = import_model(package, "brain-5")
    assert model.path.read_bytes() == package.read_bytes()
    assert find_model(Path("brain-5")) == model.path
    assert find_model(package) == package
    assert [m.name for m in installed_models()] == ["brain-5"]
    remove_model("brain-5")
    assert installed_models() == ()
    _refused(Code.MODEL_MISSING, find_model, Path("brain-5"))
    _refused(Code.MODEL_MISSING, remove_model, "brain-5")


def test_names_are_safe_and_taken_once(package: Path) -> None:
    import_model(package)
    _refused(Code.REQUEST_INVALID, import_model, package)
    for name in ("../model", ".hidden", "a b", "x" * 200):
        _refused(Code.REQUEST_INVALID, import_model, package, name)
    _refused(Code.MODEL_MISSING, remove_model, "../model")
    assert package.is_file()


def test_a_damaged_package_is_not_installed(package: Path) -> None:
    damaged = bytearray(package.read_bytes())
    damaged[-1] ^= 1
    package.write_bytes(damaged)
    _refused(Code.MODEL_INVALID, import_model, package)
    assert installed_models() == ()


def test_a_broken_file_among_them_is_named_not_fatal(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = import_model(package, "good").path
    (place.parent / "bad.safetensors").write_bytes(b"nothing")
    assert [(m.name, m.card is None) for m in installed_models()] == [("bad", True), ("good", False)]
    assert cli.main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert "good  jrss    1           40 scans, 5 labelled  2 x 2 x 2.5  registration 0.750  CC0" in said
    assert "bad: The model package" in said


def test_the_commands_tell_of_a_position_map_and_of_the_version(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from JointRegSegLib.training.package import load_package, save_package

    state, card = load_package(package)
    mapped = replace(card, method="pgcnet", config={"model": {"position": "axial"}}, software="1.2.3")
    save_package(tmp_path / "mapped.safetensors", state, mapped)
    import_model(tmp_path / "mapped.safetensors", "mapped")
    import_model(package, "plain")
    (note,) = mapped.notes
    assert cli.main(["models", "list"]) == 0
    assert capsys.readouterr().out.splitlines()[3:] == [f"mapped: {note}"]
    assert cli.main(["models", "check", "mapped"]) == 0
    first = "mapped is whole: pgcnet, 1 structures, trained by JointRegSeg 1.2.3."
    assert capsys.readouterr().out.splitlines() == [first, note]


def test_the_commands_import_check_and_remove(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "list"]) == 0
    assert cli.main(["models", "import", str(package), "--name", "one"]) == 0
    assert cli.main(["models", "check", "one"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "No model is installed.",
        "model: one",
        "one is whole: jrss, 1 structures.",
    ]
    assert cli.main(["models", "remove", "one"]) == 0
    assert cli.main(["models", "check", "one"]) == 2
