"""The worker and its client: real processes, with a toy in the pipeline's place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from JointRegSegLib.job import Atlas, Code, Event, JobError, Kind, Request
from JointRegSegLib.service import client
from JointRegSegLib.service.client import Job, probe, start
from Testing.rig.need import need

TOY = "Testing.engine.toy_worker"
REPOSITORY = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(os.name == "nt", reason="signals and process groups of POSIX")


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where orphans' exit statuses are collected late, as in many containers, every test would wait for that."""
    monkeypatch.setattr(client, "SETTLE_SECONDS", 0.3)


def _request(output: Path, action: str) -> Request:
    return Request(
        atlases=(Atlas(Path("atlas.nii"), Path("labels.nii")),), target=output.parent / action, output=output
    )


def _start(folder: Path, action: str, **options: object) -> Job:
    return start(_request(folder / "deep" / "out", action), work_folder=folder / "work", module=TOY, **options)  # type: ignore[arg-type]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def _until(condition: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _pids(job: Job) -> list[int]:
    """The worker and its child, once both run; empties the queue."""
    found: list[int] = []

    def look() -> bool:
        for event in job.drain():
            found.extend(event.data.get("pids", []))
        return bool(found)

    _until(look)
    return found


def _assert_nothing_left(folder: Path, pids: list[int]) -> None:
    assert [pid for pid in pids if _runs(pid)] == []
    assert not (folder / "deep").exists()


def test_events_arrive_in_order_and_apart_from_what_libraries_print(tmp_path: Path) -> None:
    events: list[Event] = []
    job = _start(tmp_path, "do")
    result = job.wait(events.append, timeout=20)
    assert result.folder == tmp_path / "deep" / "out"
    assert [event.stage for event in events] == ["prepare", "align", "register", "fuse", "check", "write", ""]
    assert events[0].message == "doing prepare für Zoë"
    assert events[-1].kind is Kind.RESULT
    assert events[-1].data == {"folder": str(result.folder)}
    # Events go out at once; what is printed to the same descriptor in halves never lands inside one.
    assert any("stray words about write" in line for line in job.log)
    assert any("half a line" in line for line in job.log)
    assert job.poll() == client.Outcome(result=result)
    assert not job.work_folder.exists()
    assert [path.name for path in result.folder.parent.iterdir()] == ["out"]


def test_paths_may_hold_any_letters_and_the_locale_may_be_plain(tmp_path: Path) -> None:
    folder = tmp_path / "Zoë Größe 東京"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    result = _start(folder, "do", environment=environment).wait(timeout=20)
    assert result.folder == folder / "deep" / "out"
    with pytest.raises(JobError) as caught:
        _start(folder / "again", "refuse", environment=environment).wait(timeout=20)
    assert caught.value.message == "The image 東京.nii is constant."


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        ("refuse", Code.IMAGE_EMPTY, "is constant"),
        ("break", Code.INTERNAL, "ValueError: shapes differ"),
        ("memory", Code.OUT_OF_MEMORY, "Unable to allocate 9 TiB"),
        ("gpu", Code.OUT_OF_MEMORY, "CUDA out of memory"),
        ("allocator", Code.OUT_OF_MEMORY, "can't allocate memory"),
        ("full", Code.DISK_FULL, "disk"),
        ("crash", Code.WORKER_DIED, "exit status 7"),
        ("incomplete", Code.RESULT_INVALID, "holds no result"),
    ],
)
def test_every_failure_has_its_code_and_leaves_only_its_log(
    tmp_path: Path, action: str, code: Code, words: str
) -> None:
    job = _start(tmp_path, action)
    with pytest.raises(JobError) as caught:
        job.wait(timeout=20)
    assert caught.value.code is code
    assert words in caught.value.message
    assert caught.value.advice
    assert "Traceback" not in str(caught.value)
    outcome = job.poll()
    assert outcome is not None
    assert outcome.error is caught.value
    if action == "break":
        assert "Traceback" in job.log_path.read_text(encoding="utf-8")
    if action == "crash":
        assert "the end is near" in caught.value.message
    if action != "incomplete":
        assert not (tmp_path / "deep").exists()
    assert job.work_folder.exists() == (code not in (Code.IMAGE_EMPTY, Code.DISK_FULL))


def test_the_exit_status_is_the_errors(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(_request(tmp_path / "out", "refuse").to_json(), encoding="utf-8")
    command = [sys.executable, "-m", TOY, "--request"]
    run = subprocess.run([*command, str(tmp_path / "request.json")], cwd=REPOSITORY, stdin=subprocess.DEVNULL)
    assert run.returncode == 2
    broken = subprocess.run(
        [*command, str(tmp_path / "none.json")],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert broken.returncode == 2
    event = Event.decode(broken.stdout.splitlines()[-1])
    assert event is not None
    assert event.code == Code.REQUEST_INVALID.value


@posix
def test_a_worker_killed_from_outside_leaves_nothing(tmp_path: Path) -> None:
    job = _start(tmp_path, "wait-register")
    pids = _pids(job)
    assert all(_runs(pid) for pid in pids)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(JobError) as caught:
        job.wait(timeout=20)
    assert caught.value.code is Code.WORKER_DIED
    assert "SIGKILL" in caught.value.message
    _assert_nothing_left(tmp_path, pids)


@posix
@pytest.mark.parametrize("stage", ["prepare", "align", "register", "fuse", "check", "write"])
def test_cancel_at_any_stage_leaves_no_process_and_no_output(tmp_path: Path, stage: str) -> None:
    job = _start(tmp_path, f"wait-{stage}")
    pids = _pids(job)
    outcome = job.cancel_and_wait()
    assert outcome.error is not None
    assert outcome.error.code is Code.CANCELLED
    assert outcome.error.exit_status == 130
    _assert_nothing_left(tmp_path, pids)
    assert not job.work_folder.exists()


def test_cancel_right_after_the_start_ends_too(tmp_path: Path) -> None:
    job = _start(tmp_path, "wait-register")
    before = time.monotonic()
    job.cancel()
    assert time.monotonic() - before < 0.5
    outcome = job.cancel_and_wait()
    assert outcome.error is not None
    assert outcome.error.code is Code.CANCELLED
    _assert_nothing_left(tmp_path, [job.pid])


@posix
def test_a_worker_that_heeds_nothing_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CANCEL_SECONDS", 0.3)
    monkeypatch.setattr(client, "TERMINATE_SECONDS", 0.3)
    job = _start(tmp_path, "deaf-register")
    pids = _pids(job)
    before = time.monotonic()
    job.cancel()
    assert job.poll() is None
    job.cancel_and_wait()
    assert time.monotonic() - before >= 0.6
    _assert_nothing_left(tmp_path, pids)


@posix
def test_kill_does_not_wait_for_anything(tmp_path: Path) -> None:
    job = _start(tmp_path, "deaf-register")
    pids = _pids(job)
    with pytest.raises(TimeoutError):
        job.wait(timeout=0.1)
    before = time.monotonic()
    job.kill()
    with pytest.raises(JobError) as caught:
        job.wait(timeout=20)
    assert caught.value.code is Code.CANCELLED
    assert time.monotonic() - before < 2
    _assert_nothing_left(tmp_path, pids)


@posix
def test_a_termination_signal_ends_the_run_cleanly(tmp_path: Path) -> None:
    job = _start(tmp_path, "wait-register")
    pids = _pids(job)
    os.kill(pids[0], signal.SIGTERM)
    with pytest.raises(JobError) as caught:
        job.wait(timeout=20)
    assert caught.value.code is Code.CANCELLED
    _assert_nothing_left(tmp_path, pids)


@posix
@pytest.mark.parametrize("action", ["wait-register", "deaf-register"])
def test_the_death_of_the_client_ends_the_worker(tmp_path: Path, action: str) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from Testing.engine import test_service_worker as here\n"
        "job = here._start(Path(sys.argv[1]), sys.argv[2])\n"
        "print(*here._pids(job), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path), action]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as middle:
        assert middle.stdout is not None
        pids = [int(word) for word in middle.stdout.readline().split()]
        assert len(pids) == 2
        assert all(_runs(pid) for pid in pids)
        middle.kill()
    _until(lambda: not any(_runs(pid) for pid in pids))
    assert [path.name for path in (tmp_path / "deep").glob("*")] == []
    assert not (tmp_path / "work").exists()


def _launcher(folder: Path, redirection: str) -> str:
    """A program that starts the real Python as its child, as PythonSlicer does."""
    path = folder / "PythonLauncher"
    path.write_text(f'#!/bin/sh\n"{sys.executable}" "$@" {redirection}\nexit $?\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@posix
def test_behind_a_launcher_the_whole_tree_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CANCEL_SECONDS", 0.2)
    monkeypatch.setattr(client, "TERMINATE_SECONDS", 0.2)
    job = _start(tmp_path, "deaf-align", python=_launcher(tmp_path, ""))
    pids = _pids(job)
    assert job.pid not in pids
    job.cancel_and_wait()
    _assert_nothing_left(tmp_path, [job.pid, *pids])


@posix
def test_a_launcher_that_forwards_no_input_does_not_end_the_run(tmp_path: Path) -> None:
    job = _start(tmp_path, "do", python=_launcher(tmp_path, "< /dev/null"))
    assert job.wait(timeout=20).folder == tmp_path / "deep" / "out"


def test_a_python_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        _start(tmp_path, "do", python=str(tmp_path / "no-python"))
    assert caught.value.code is Code.WORKER_NOT_STARTED
    assert "no-python" in caught.value.message


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python without any package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def test_a_python_without_pytorch_is_told_as_such(tmp_path: Path, bare_python: str) -> None:
    job = start(_request(tmp_path / "out", "any"), python=bare_python, work_folder=tmp_path / "work")
    with pytest.raises(JobError) as caught:
        job.wait(timeout=20)
    assert caught.value.code is Code.TORCH_MISSING
    assert caught.value.exit_status == 3
    assert "pip install torch" in caught.value.advice
    state = probe(bare_python)
    assert state.error is not None
    assert state.error.code is Code.TORCH_MISSING


def test_a_pytorch_that_does_not_load_is_told_as_such(tmp_path: Path, bare_python: str) -> None:
    (tmp_path / "stub" / "torch").mkdir(parents=True)
    (tmp_path / "stub" / "torch" / "__init__.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "stub")}
    job = start(_request(tmp_path / "out", "any"), bare_python, tmp_path / "work", environment)
    with pytest.raises(JobError) as caught:
        job.wait(timeout=20)
    assert caught.value.code is Code.TORCH_BROKEN
    assert "libgomp.so.1 is missing" in caught.value.message
    state = probe(bare_python, environment)
    assert state.error is not None
    assert state.error.code is Code.TORCH_BROKEN


def test_a_pytorch_without_its_bridge_to_numpy_is_told_as_such(tmp_path: Path, bare_python: str) -> None:
    for package in ("torch", "numpy"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "torch" / "__init__.py").write_text(
        "class _Tensor:\n    def numpy(self): raise RuntimeError('Numpy is not available')\n"
        "def zeros(size): return _Tensor()\n"
    )
    state = probe(bare_python, {**os.environ, "PYTHONPATH": str(tmp_path)})
    assert state.error is not None
    assert state.error.code is Code.TORCH_BROKEN
    assert "Numpy is not available" in state.error.message


def test_the_probe_sees_the_cpu() -> None:
    need("torch")
    state = probe(sys.executable)
    assert state.error is None
    assert state.version
    assert state.devices[0].kind == "cpu"
    assert state.devices[0].free_gb is not None
