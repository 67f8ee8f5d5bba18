"""The command line: grammar, words, exit statuses, Ctrl-C and the scores of `evaluate`."""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib import cli, progress
from JointRegSegLib.job import Code, Event, Kind, Quality, Request
from JointRegSegLib.job.result import LABELS
from JointRegSegLib.service import client
from JointRegSegLib.volumes import Grid, Label, LabelMap, LabelTable, write_field, write_label_map
from Testing.rig.need import need

TOY = "Testing.engine.toy_worker"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    """The requests that the command line started; a toy worker does them."""
    requests: list[Request] = []

    def start(request: Request, python: str) -> client.Job:
        requests.append(request)
        return client.start(request, python=python, module=TOY)

    monkeypatch.setattr(cli, "start", start)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    monkeypatch.setattr(client, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(cli.signal, "signal", lambda number, handler: None)
    return requests


def _arguments(folder: Path, action: str, *more: str) -> list[str]:
    scans = ["--atlas", "a.nii", "--atlas-labels", "l.nii", "--target", str(folder / action)]
    return ["run", *scans, "--output", str(folder / "out"), *more]


def test_every_flag_reaches_the_request(tmp_path: Path, started: list[Request]) -> None:
    flags = "--label-table t.csv --atlas-mask am.nii --target-mask tm.nii --atlas-name one --quality accurate"
    flags += " --similarity mind --start as-placed --device cpu --seed 7 --threads 2 --memory-gb 1.5 --overwrite"
    assert cli.main(_arguments(tmp_path, "do", *flags.split())) == 0
    (request,) = started
    atlas = request.atlases[0]
    assert (atlas.image, atlas.labels, atlas.table) == (Path("a.nii"), Path("l.nii"), Path("t.csv"))
    assert (atlas.mask, atlas.name, request.target_mask) == (Path("am.nii"), "one", Path("tm.nii"))
    assert (request.quality, request.similarity.value, request.device.value) == (Quality.ACCURATE, "mind", "cpu")
    assert (request.start, request.seed, request.threads, request.memory_gb) == ("as-placed", 7, 2, 1.5)
    assert request.overwrite


def test_a_run_tells_its_way_and_where_the_result_is(
    tmp_path: Path, started: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(_arguments(tmp_path, "do")) == 0
    said = capsys.readouterr()
    assert said.out.rstrip().endswith(f"result: {tmp_path / 'out'}")
    assert "group" in said.out
    stages = [line.split()[1].rstrip("]:") for line in said.err.splitlines() if line.startswith("[")]
    assert "[  0%] prepare: doing prepare für Zoë" in said.err
    assert len(stages) == 6
    assert cli.main(_arguments(tmp_path, "do", "--quiet", "--overwrite")) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("action", "status", "code"),
    [("refuse", 2, "image-empty"), ("full", 3, "disk-full"), ("break", 1, "internal"), ("crash", 3, "worker-died")],
)
def test_a_failure_is_readable_and_has_its_exit_status(
    tmp_path: Path,
    started: list[Request],
    capsys: pytest.CaptureFixture[str],
    action: str,
    status: int,
    code: str,
) -> None:
    assert cli.main(_arguments(tmp_path, action, "--quiet")) == status
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2].startswith(f"error [{code}]: ")
    assert lines[-1].startswith("  what to do: ")
    assert "Traceback" not in "".join(lines)
    assert not (tmp_path / "out").exists()


def test_an_existing_output_is_refused_before_a_worker_starts(
    tmp_path: Path, started: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    assert cli.main(_arguments(tmp_path, "do")) == 2
    assert "error [output-exists]" in capsys.readouterr().err
    assert started == []


@pytest.mark.parametrize("seed", [-5, 2**63])
def test_a_seed_out_of_range_is_refused_before_a_worker_starts(
    tmp_path: Path, started: list[Request], capsys: pytest.CaptureFixture[str], seed: int
) -> None:
    assert cli.main(_arguments(tmp_path, "do", "--seed", str(seed))) == 2
    assert f"error [request-invalid]: seed is {seed}." in capsys.readouterr().err
    assert started == []


def test_unknown_words_are_refused_with_the_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(_arguments(tmp_path, "do", "--quality", "perfect"))
    assert caught.value.code == 2
    assert "accurate" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT and SIGTERM as a POSIX shell does")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_cleanly(tmp_path: Path, number: int) -> None:
    script = (
        "import functools, signal, sys\n"
        "from JointRegSegLib import cli\n"
        # A shell's background jobs begin with the interrupt ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"cli.start = functools.partial(cli.start, module='{TOY}')\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, *_arguments(tmp_path, "wait-register")]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "register" not in (line := process.stderr.readline()):
            assert line, "ended early"
        before = time.monotonic()
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(10) == 130
    assert "error [cancelled]" in rest
    assert time.monotonic() - before < 5
    assert list(tmp_path.iterdir()) == []


def test_the_bar_shows_stage_fraction_and_remaining_time(monkeypatch: pytest.MonkeyPatch) -> None:
    need("tqdm")
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.open_progress(quiet=False) as display:
        display.show(Event(Kind.PROGRESS, "level 2 of 3", stage="register", fraction=0.4, eta_seconds=75))
        display.show(Event(Kind.CAUTION, "Small overlap.", code="small-overlap"))
        display.show(Event(Kind.RESULT, fraction=1.0))
    text = "".join(terminal.parts)
    assert "register  40%" in text
    assert "level 2 of 3, 1 min 15 s left" in text
    assert "caution [small-overlap]: Small overlap." in text
    assert "100%" in text


def test_without_the_bars_library_lines_appear_and_one_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.open_progress(quiet=False) as display:
        for tenth in range(10):
            display.show(Event(Kind.PROGRESS, "going on", stage="register", fraction=tenth / 100))
    lines = "".join(terminal.parts).splitlines()
    assert "jointregseg[cli]" in lines[0]
    assert lines[1:] == ["[  0%] register: going on"]


class _Terminal:
    encoding = "utf-8"

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        self.parts.append(text)
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True


GRID = Grid(size=(20, 16, 12), spacing=(1.0, 1.0, 2.0), origin=(0.0, 0.0, 0.0), direction=tuple(np.eye(3).ravel()))


def _boxes(shift: int, values: tuple[int, ...]) -> LabelMap:
    """8 x 8 x 4 boxes, moved along i by `shift` voxels; one label for each half along j."""
    array = np.zeros(GRID.shape, np.uint16)
    for number, value in enumerate(values):
        array[4:8, 4 + 4 * number : 8 + 4 * number, 4 + shift : 12 + shift] = value
    return LabelMap(array, GRID, LabelTable([Label(1, "left", (255, 0, 0)), Label(2, "right", (0, 255, 0))]))


def test_evaluate_gives_the_known_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result").mkdir()
    write_label_map(tmp_path / "result" / LABELS, _boxes(2, (1,)))
    write_label_map(tmp_path / "truth.nii.gz", _boxes(0, (1, 2)))
    (tmp_path / "names.csv").write_text("value,name\n1,left\n2,right\n", encoding="utf-8")
    paths = ["--labels", str(tmp_path / "result"), "--reference", str(tmp_path / "truth.nii.gz")]
    names = ["--label-table", str(tmp_path / "names.csv"), "--csv", str(tmp_path / "scores.csv")]
    assert cli.main(["evaluate", *paths, *names]) == 0
    rows = {line.split("  ")[0].strip(): line.split()[-4:] for line in capsys.readouterr().out.splitlines()}
    # Six of eight columns overlap: 2 * 6 / 16. Surfaces lie two voxels of 1 mm apart. 128 voxels of 2 mm3.
    assert rows["1 left"] == ["0.7500", "2.00", "0.256", "0.256"]
    assert rows["2 right"] == ["0.0000", "nan", "0.000", "0.256"]
    with (tmp_path / "scores.csv").open(encoding="utf-8") as file:
        table = {(row["group"], row["name"]): (row["value"], row["unit"]) for row in csv.DictReader(file)}
    assert table["Dice", "mean"] == ("0.3750", "")
    assert table["HD95", "1 left"] == ("2.000", "mm")


def test_evaluate_looks_at_the_fields_jacobian(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need("torch")
    write_label_map(tmp_path / "labels.nii.gz", _boxes(0, (1,)))
    vectors = np.zeros((*GRID.shape, 3), np.float32)
    vectors[..., 0] = 0.5 * np.arange(20)  # x stretched by 1.5 everywhere
    write_field(tmp_path / "field.nrrd", vectors, GRID)
    both = ["--labels", str(tmp_path / "labels.nii.gz"), "--reference", str(tmp_path / "labels.nii.gz")]
    assert cli.main(["evaluate", *both, "--field", str(tmp_path / "field.nrrd")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    rows = {line.rsplit("  ", 1)[0].strip(): line.split()[-1] for line in lines}
    assert rows["Jacobian minimum"] == rows["Jacobian maximum"] == "1.5000"
    assert rows["SDlogJ"] == "0.0000"


def _own_flags() -> list[tuple[str, str]]:
    """The flags that only one of the two things that `evaluate` scores has, each with a value that it takes."""
    top = next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction))
    actions = [action for action in top.choices["evaluate"]._actions if action.nargs != 0]
    named = {action.option_strings[-1]: str(next(iter(action.choices or "3"))) for action in actions}
    return [(flag, value) for flag, value in named.items() if flag != "--model"]


@pytest.mark.parametrize(("flag", "value"), _own_flags())
def test_evaluate_passes_over_no_flag(flag: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the one thing it is refused by its name; with the other it counts, and only the files are missing."""
    refused = 0
    for words in (["--labels", "l", "--reference", "r"], ["--model", "m", "--data", "d", "--output", "o"]):
        with contextlib.suppress(SystemExit):
            cli.main(["evaluate", *words, flag, value])
        refused += f"error: {flag}: " in capsys.readouterr().err
    assert refused == (2 if flag == "--mask" else 1)  # without --field a mask is of no use either


def test_evaluate_names_the_choices_of_a_mistyped_start(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["evaluate", "--model", "m", "--data", "d", "--output", "o", "--start", "as-palced"])
    assert re.search(r"--start.*as-palced.*auto.*as-placed", capsys.readouterr().err)


def test_evaluate_is_quiet_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_label_map(tmp_path / "labels.nii.gz", _boxes(0, (1,)))
    both = ["--labels", str(tmp_path / "labels.nii.gz"), "--reference", str(tmp_path / "labels.nii.gz")]
    assert cli.main(["evaluate", *both, "--csv", str(tmp_path / "scores.csv"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "scores.csv").read_text().startswith("group,name,value,unit")


def test_evaluate_refuses_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none.nii.gz")
    assert cli.main(["evaluate", "--labels", missing, "--reference", missing]) == 2
    assert f"error [{Code.FILE_MISSING.value}]" in capsys.readouterr().err
