"""Runs of the real pipeline behind the real doors: the shell's command and the worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib import cli
from JointRegSegLib.job import Code, Event, JobError, Kind, Quality
from JointRegSegLib.job.result import FILES
from JointRegSegLib.phantom import PhantomFiles, write_pair
from JointRegSegLib.service import client
from JointRegSegLib.volumes import read_label_map
from Testing.engine.pipeline_cases import Told, request_for
from Testing.engine.volume_cases import save

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SETTLE_SECONDS", 0.3)


def _command(files: PhantomFiles, output: Path, *more: str, **changed: Path) -> list[str]:
    scans = {"atlas": files.atlas, "atlas_labels": files.atlas_labels, "target": files.target, **changed}
    named = [word for name, path in scans.items() for word in (f"--{name.replace('_', '-')}", str(path))]
    return ["run", *named, "--output", str(output), "--quality", "fast", "--device", "cpu", "--threads", "1", *more]


def _shell(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "JointRegSegLib.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_shells_run_is_the_pipelines(told: Told, files: PhantomFiles, tmp_path: Path) -> None:
    done = _shell(_command(files, tmp_path / "out", "--label-table", str(files.table), "--atlas-name", "Phantom A"))
    assert done.returncode == 0, done.stderr
    assert "SDlogJ" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    ours, theirs = (read_label_map(folder / "labels.nii.gz").array for folder in (tmp_path / "out", told.result.folder))
    assert np.array_equal(ours, theirs)
    assert '"Phantom A"' in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")


def test_bad_input_in_the_shell(files: PhantomFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    labels = read_label_map(files.atlas_labels)
    negative = save(inputs / "negative.nii.gz", labels.array.astype(np.int16) - 1, labels.grid)
    cases: list[tuple[dict[str, Path], Code]] = [
        ({"target": inputs / "none.nii.gz"}, Code.FILE_MISSING),
        ({"atlas_labels": negative}, Code.LABELS_NEGATIVE),
    ]
    for changed, code in cases:
        assert cli.main(_command(files, tmp_path / "made" / "out", "--quiet", **changed)) == 2
        said = capsys.readouterr().err
        assert f"error [{code.value}]: " in said
        assert next(iter(changed.values())).name in said
        assert "what to do: " in said
        assert list(tmp_path.iterdir()) == [inputs]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on a file's size")
def test_a_disk_that_is_full_for_the_worker(files: PhantomFiles, tmp_path: Path) -> None:
    """Files may not grow beyond 64 kB here, which is what a full quota looks like to the writers."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536));"
        "from JointRegSegLib.service.worker import main; sys.exit(main(sys.argv[1:]))"
    )
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    request = request_for(files, tmp_path / "made" / "out")
    (inputs / "request.json").write_text(request.to_json(), encoding="utf-8")
    command = [sys.executable, "-c", code, "--request", str(inputs / "request.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    events = [event for line in done.stdout.splitlines() if (event := Event.decode(line))]
    assert (events[-1].kind, events[-1].code) == (Kind.ERROR, Code.DISK_FULL.value), done.stderr
    assert str(tmp_path / "made") in events[-1].message
    assert done.returncode == 3
    assert list(tmp_path.iterdir()) == [inputs]


def test_a_worker_that_is_killed_in_its_work(tmp_path: Path) -> None:
    files = write_pair(tmp_path / "pair", size=64)
    job = client.start(request_for(files, tmp_path / "made" / "out", quality=Quality.ACCURATE))
    seen: list[Event] = []

    def kill_it(event: Event) -> None:
        if event.stage == "register" and "register" not in [before.stage for before in seen]:
            os.kill(job.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        seen.append(event)

    with pytest.raises(JobError) as caught:
        job.wait(kill_it, timeout=120)
    assert caught.value.code is Code.WORKER_DIED
    assert caught.value.advice
    assert "write" not in [event.stage for event in seen]
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


def test_a_python_without_pytorch(files: PhantomFiles, tmp_path: Path) -> None:
    """PyTorch is hidden from the worker by a directory that stands for it and has nothing in it but a refusal."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'torch' else find(name, package)\n"
    )
    done = _shell(_command(files, tmp_path / "made" / "out", "--quiet"), PYTHONPATH=str(hidden))
    assert done.returncode == 3
    assert f"error [{Code.TORCH_MISSING.value}]: PyTorch is not installed in {sys.executable}" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["hidden"]
