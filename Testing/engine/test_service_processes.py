"""Starting and ending process trees, the child's environment and the remaining time: both branches, no processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from JointRegSegLib.service import launch
from JointRegSegLib.service.eta import Eta
from JointRegSegLib.service.processes import Posix, Windows, this_system


def test_posix_signals_the_whole_group() -> None:
    sent: list[tuple[int, int]] = []
    system = Posix(killpg=lambda group, number: sent.append((group, number)))
    assert system.options() == {"start_new_session": True}
    system.terminate_tree(41)
    system.kill_tree(41)
    assert system.tree_alive(41)
    assert sent == [(41, signal.SIGTERM), (41, 9), (41, 0)]


@pytest.mark.parametrize("problem", [ProcessLookupError, PermissionError])
def test_posix_takes_a_group_that_is_gone_calmly(problem: type[OSError]) -> None:
    def killpg(group: int, number: int) -> None:
        raise problem

    system = Posix(killpg=killpg)
    system.kill_tree(41)
    assert not system.tree_alive(41)


def test_windows_ends_the_tree_with_taskkill() -> None:
    commands: list[Sequence[str]] = []
    system = Windows(run=commands.append)
    system.terminate_tree(41)
    system.kill_tree(41)
    assert commands == [["taskkill", "/T", "/PID", "41"], ["taskkill", "/T", "/F", "/PID", "41"]]
    assert not system.tree_alive(41)
    assert system.own_tree() == os.getpid()


def test_windows_gives_the_child_its_own_group_and_no_console() -> None:
    flags = Windows().options()["creationflags"]
    assert flags == 0x08000200
    if os.name == "nt":
        assert flags == subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW


def test_exits_are_told_in_words() -> None:
    assert Posix().describe_exit(-9) == "was killed by signal 9 (SIGKILL)"
    assert Posix().describe_exit(7) == "ended with exit status 7"
    assert Windows().describe_exit(7) == "ended with exit status 7"
    assert Windows().describe_exit(3221225477) == "ended with exit status 0xc0000005"


def test_the_childs_environment_finds_us_speaks_utf8_and_keeps_the_rest() -> None:
    base = {"PYTHONPATH": os.pathsep.join(["/a", "/b"]), "PYTHONIOENCODING": "latin-1", "HOME": "/home/zoë"}
    made = launch.worker_environment(base, sys.executable)
    assert made["PYTHONPATH"].split(os.pathsep) == [str(launch.LIBRARY_PARENT), "/a", "/b"]
    assert (launch.LIBRARY_PARENT / "JointRegSegLib" / "service" / "worker.py").is_file()
    expected = {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    assert {name: made[name] for name in expected} == expected
    assert made["HOME"] == "/home/zoë"
    assert base["PYTHONIOENCODING"] == "latin-1"


def test_the_child_keeps_freed_memory_and_its_idle_threads_sleep() -> None:
    expected = {
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TOP_PAD_": "67108864",
        "MALLOC_TRIM_THRESHOLD_": "4294967296",
    }
    made = launch.worker_environment({}, "python", platform="linux")
    assert {name: made[name] for name in expected} == expected
    assert not any(name.startswith("MALLOC") for name in launch.worker_environment({}, "python", platform="win32"))


@pytest.mark.parametrize("name", sorted(launch.IDLE_THREADS | launch.KEEP_MEMORY))
def test_what_the_user_set_stays(name: str) -> None:
    assert launch.worker_environment({name: "7"}, "python", platform="linux")[name] == "7"


def test_the_settings_reach_a_real_child(tmp_path: Path) -> None:
    (tmp_path / "tell.py").write_text("import os; print(os.environ['GOMP_SPINCOUNT'], os.environ['OMP_WAIT_POLICY'])")
    base = {**os.environ, "OMP_WAIT_POLICY": "ACTIVE"}
    base.pop("GOMP_SPINCOUNT", None)
    with launch.launch(sys.executable, "tell", [], tmp_path, base, this_system()) as child:
        assert child.communicate()[0].split() == [b"0", b"ACTIVE"]


def test_a_python_home_serves_only_the_python_it_was_set_for() -> None:
    base = {"PYTHONHOME": "/opt/slicer/python"}
    assert launch.worker_environment(base, sys.executable)["PYTHONHOME"] == "/opt/slicer/python"
    assert "PYTHONHOME" not in launch.worker_environment(base, "/usr/bin/another-python")
    assert "PYTHONHOME" not in launch.worker_environment({}, sys.executable)


def test_inside_slicer_the_launcher_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/opt/slicer/bin/{name}")
    monkeypatch.delitem(sys.modules, "slicer", raising=False)
    assert launch.default_python() == sys.executable
    monkeypatch.setitem(sys.modules, "slicer", sys)
    assert launch.default_python() == "/opt/slicer/bin/PythonSlicer"
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert launch.default_python() == sys.executable


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_at_a_steady_pace_the_remaining_time_is_exact() -> None:
    clock = _Clock()
    eta = Eta(clock)
    for second in range(1, 51):
        clock.now = 100.0 + second
        assert eta.update(second / 50) == pytest.approx(50 - second)


def test_too_early_nobody_knows_the_remaining_time() -> None:
    clock = _Clock()
    eta = Eta(clock)
    clock.now += 0.5
    assert eta.update(0.5) is None
    clock.now += 10
    assert eta.update(0.001) is None
    assert eta.update(0.5) == pytest.approx(10.5)


def test_a_slow_beginning_is_soon_made_up_for() -> None:
    clock = _Clock()
    eta = Eta(clock)
    clock.now += 4
    assert eta.update(0.05) == pytest.approx(76)
    for tenth in range(1, 41):
        clock.now += 0.1
        left = eta.update(0.05 + 0.855 * tenth / 40)
    assert left is not None
    assert left < 3  # at this pace 0.4 s, over the whole run 0.8 s


def test_a_sudden_jump_is_taken_up_slowly() -> None:
    clock = _Clock()
    eta = Eta(clock)
    clock.now += 10
    assert eta.update(0.1) == pytest.approx(90)
    clock.now += 1
    after = eta.update(0.5)  # over the whole run this pace would leave 11 s
    assert after is not None
    assert 60 < after < 89
    clock.now += 1
    assert eta.update(1.0) == 0.0
