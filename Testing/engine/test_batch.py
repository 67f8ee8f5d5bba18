"""`jointregseg batch` as a user calls it: the phantom as atlas library and targets, with reports."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from JointRegSegLib import cli
from JointRegSegLib.commands import batch
from JointRegSegLib.job import Result
from JointRegSegLib.library.create import Plan, create
from JointRegSegLib.phantom import PhantomFiles
from JointRegSegLib.service.client import TorchDevice, TorchState
from Testing.engine.cohort_cases import table
from Testing.engine.html_cases import Page
from Testing.rig.need import need

need("torch")
need("matplotlib")
need("jinja2")


@pytest.fixture
def arguments(files: PhantomFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A library of the phantom's atlas, and a cohort of its target and of one that does not exist."""
    monkeypatch.setattr(cli.signal, "signal", lambda number, handler: None)
    cpu = TorchState("2.9", (TorchDevice("cpu", "CPU", 16.0),))
    monkeypatch.setattr(batch, "probe", lambda python, environment: cpu)  # it takes seconds, and has tests of its own
    (tmp_path / "atlases").mkdir()
    shutil.copy(files.atlas, tmp_path / "atlases" / "smith.nii.gz")
    shutil.copy(files.atlas_labels, tmp_path / "atlases" / "smith_labels.nii.gz")
    create(Plan(tmp_path / "atlases", tmp_path / "library", table=files.table))
    (tmp_path / "cohort.csv").write_text(f"id,target\ns-1,{files.target}\nlost,smith.nii\n", encoding="utf-8")
    told = ["--library", str(tmp_path / "library"), "--output", str(tmp_path / "out"), "--quality", "fast"]
    return ["batch", str(tmp_path / "cohort.csv"), *told, "--device", "cpu", "--workers", "2", "--threads", "1"]


def test_a_cohort_gives_results_tables_and_pages(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == f"1 of 2 cases are done: {tmp_path / 'out'}\n"
    assert "lost (line 3): failed after 0 s [file-missing] The target of case lost does not exist." in said.err
    out = tmp_path / "out"
    run = Result.open(out / "cases" / "s-1")
    assert run.quality.measure("similarity_after") > run.quality.measure("similarity_before")
    assert run.manifest["threads"] == 1
    page = Page((out / "cohort.html").read_text(encoding="utf-8"))
    assert "cases/s-1/report.html" in page.addresses()
    assert any(source.startswith("data:image/png") for source in page.all("img", "src"))
    assert {"s-1", "lost", "done", "failed"} <= set(page.texts)
    assert (out / "volumes.csv").read_text(encoding="utf-8").startswith("id,1 cerebral cortex,")
    assert "Outlines before" in (run.folder / "report.html").read_text(encoding="utf-8")
    for file in (*out.glob("*.*"), *out.glob("cases/*/*.json"), *out.glob("cases/*/*.html")):
        text = file.read_text(encoding="utf-8")
        assert "smith" not in text
        assert str(tmp_path) not in text
    stamp = run.path("manifest.json").stat().st_mtime_ns
    (out / "cases" / "s-1" / "report.html").unlink()
    assert cli.main([*arguments, "--quiet"]) == 2
    assert run.path("manifest.json").stat().st_mtime_ns == stamp
    assert (out / "cases" / "s-1" / "report.html").is_file()
    assert table(tmp_path)["lost"]["attempts"] == "2"


@pytest.mark.parametrize(
    "more",
    [
        ["--scheduler", "tcp://x:1", "--slurm"],
        ["--scheduler", "tcp://x:1", "--workers", "2"],
        ["--partition", "long"],
        ["--workers", "0"],
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], more: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        cli.main([*arguments, *more])
    assert not (tmp_path / "out").exists()


def test_another_library_is_another_cohort(
    arguments: list[str], tmp_path: Path, files: PhantomFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cohort.csv").write_text("id,target\nlost,none.nii\n", encoding="utf-8")
    assert cli.main([*arguments, "--no-report"]) == 2
    shutil.rmtree(tmp_path / "library")
    create(Plan(tmp_path / "atlases", tmp_path / "library", name="another"))
    assert cli.main([*arguments, "--no-report"]) == 2
    assert "error [cohort-invalid]: The cohort in" in capsys.readouterr().err
