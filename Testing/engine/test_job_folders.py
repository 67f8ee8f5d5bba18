"""Staging: a result folder appears whole or not at all, on both branches of the operating system."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
from pathlib import Path

import pytest

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.job.filesystem import Posix, Windows, long_path
from JointRegSegLib.job.folders import clear_leftovers, is_disk_full, replace_folder, staging
from JointRegSegLib.job.result import MANIFEST


def _fill(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def _fail(output: Path, problem: BaseException) -> None:
    with staging(output, overwrite=True) as folder:
        _fill(folder, "half")
        raise problem


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    output = tmp_path / "new parent" / "Ergebnis für Zoë"
    with staging(output, overwrite=False) as folder:
        _fill(folder, "whole")
        assert not output.exists()
        assert folder.parent == output.parent
    assert (output / MANIFEST).read_text(encoding="utf-8") == "whole"
    assert _names(output.parent) == [output.name]


@pytest.mark.parametrize("problem", [RuntimeError("broken"), KeyboardInterrupt(), JobError(Code.CANCELLED, "Stopped.")])
def test_a_failed_block_leaves_nothing_behind(tmp_path: Path, problem: BaseException) -> None:
    with pytest.raises(type(problem)):
        _fail(tmp_path / "a" / "b" / "out", problem)
    assert _names(tmp_path) == []


def test_a_failed_block_leaves_the_earlier_result_untouched(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with staging(output, overwrite=False) as folder:
        _fill(folder, "first")
    with pytest.raises(RuntimeError):
        _fail(output, RuntimeError("broken"))
    assert (output / MANIFEST).read_text(encoding="utf-8") == "first"
    assert _names(tmp_path) == ["out"]


def test_an_earlier_result_is_replaced_as_a_whole_and_only_when_allowed(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with staging(output, overwrite=False) as folder:
        _fill(folder, "first")
        (folder / "old.nrrd").touch()
    with pytest.raises(JobError) as caught, staging(output, overwrite=False):
        pytest.fail("staging must refuse before any work is done")
    assert caught.value.code is Code.OUTPUT_EXISTS
    assert str(output) in caught.value.message
    with staging(output, overwrite=True) as folder:
        _fill(folder, "second")
    assert _names(output) == [MANIFEST]
    assert (output / MANIFEST).read_text(encoding="utf-8") == "second"
    assert _names(tmp_path) == ["out"]


def test_a_folder_that_is_no_result_is_never_replaced(tmp_path: Path) -> None:
    output = tmp_path / "home"
    output.mkdir()
    (output / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(JobError) as caught, staging(output, overwrite=True):
        pytest.fail("staging must refuse before any work is done")
    assert caught.value.code is Code.OUTPUT_EXISTS
    assert _names(output) == ["thesis.tex"]


def test_an_empty_folder_may_be_the_output(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with staging(tmp_path / "out", overwrite=False) as folder:
        _fill(folder, "whole")
    assert _names(tmp_path / "out") == [MANIFEST]


def test_a_file_in_the_outputs_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(JobError) as caught, staging(tmp_path / "out", overwrite=True):
        pytest.fail("staging must refuse before any work is done")
    assert caught.value.code is Code.OUTPUT_EXISTS


def test_an_output_that_cannot_be_made_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobError) as caught, staging(tmp_path / "file" / "deeper" / "out", overwrite=False):
        pytest.fail("staging must refuse before any work is done")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert caught.value.exit_status == 3


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(JobError) as caught, staging(tmp_path / "out", overwrite=False):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.code is Code.DISK_FULL
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(JobError) as caught, staging(tmp_path / "out", overwrite=False):
        raise RuntimeError("ImageFileWriter could not write")
    assert caught.value.code is Code.DISK_FULL
    with pytest.raises(JobError) as caught, staging(tmp_path / "out", overwrite=False):
        raise JobError(Code.CANCELLED, "Stopped.")
    assert caught.value.code is Code.CANCELLED
    assert _names(tmp_path) == []
    assert not is_disk_full(OSError(errno.EACCES, "no"))


def _killed_in_staging(output: Path) -> None:
    with staging(output, overwrite=True) as folder:
        _fill(folder, "half")
        os._exit(9)


def _killed_while_replacing(output: Path) -> None:
    def rename(old: str, new: str) -> None:
        if ".partial-" in old:
            os._exit(9)
        Path(old).rename(new)

    with staging(output, overwrite=True, system=Posix(rename=rename)) as folder:
        _fill(folder, "second")


def _in_a_process(function: object, output: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=function, args=(output,))  # type: ignore[arg-type]
    process.start()
    process.join()
    assert process.exitcode == 9


def test_what_a_killed_process_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    output = tmp_path / "out"
    _in_a_process(_killed_in_staging, output)
    assert len(_names(tmp_path)) == 1
    with staging(output, overwrite=False) as folder:
        assert _names(tmp_path) == [folder.name]
        _fill(folder, "whole")
    assert _names(tmp_path) == ["out"]


def test_a_result_moved_aside_by_a_killed_process_comes_back(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with staging(output, overwrite=False) as folder:
        _fill(folder, "first")
    _in_a_process(_killed_while_replacing, output)
    assert not output.exists()
    clear_leftovers(output)
    assert (output / MANIFEST).read_text(encoding="utf-8") == "first"
    assert _names(tmp_path) == ["out"]


def test_the_folders_of_running_processes_and_of_other_names_stay(tmp_path: Path) -> None:
    with staging(tmp_path / "out", overwrite=False) as mine:
        host = mine.name.split("-")[1]
        parents = tmp_path / f".out.partial-{host}-{os.getppid()}-00000000"
        other_name = tmp_path / f".out2.partial-{host}-99999999-00000000"
        other_machine = tmp_path / ".out.partial-ffffffff-99999999-00000000"
        for folder in (parents, other_name, other_machine):
            folder.mkdir()
        clear_leftovers(tmp_path / "out")
        assert mine.exists()
        assert parents.exists()
        assert other_name.exists()
        assert other_machine.exists()
        os.utime(other_machine, (0, 0))
        clear_leftovers(tmp_path / "out", dead=os.getppid())
        assert not other_machine.exists()
        assert not parents.exists()
        _fill(mine, "whole")


def test_a_failed_replacement_puts_the_earlier_folder_back(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        _fill(folder, folder.name)

    def rename(source: str, goal: str) -> None:
        if source == str(new):
            raise PermissionError(errno.EACCES, "held")
        Path(source).rename(goal)

    with pytest.raises(PermissionError):
        replace_folder(new, old, Posix(rename=rename))
    assert (old / MANIFEST).read_text(encoding="utf-8") == "old"
    assert _names(tmp_path) == ["new", "old"]


def test_posix_tells_a_dead_process_from_one_of_another_user() -> None:
    asked: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        asked.append((pid, number))
        raise {1: PermissionError, 2: ProcessLookupError}[pid]

    assert Posix(kill=kill).alive(1)
    assert not Posix(kill=kill).alive(2)
    assert asked == [(1, 0), (2, 0)]


def test_windows_waits_while_a_scanner_holds_the_folder(tmp_path: Path) -> None:
    renamed: list[tuple[str, str]] = []
    pauses: list[float] = []

    def rename(old: str, new: str) -> None:
        renamed.append((old, new))
        if len(renamed) < 4:
            raise PermissionError(errno.EACCES, "held by a virus scanner")

    Windows(rename=rename, sleep=pauses.append).rename(Path(r"C:\scans\.out.partial"), Path(r"C:\scans\out"))
    assert renamed == [(r"\\?\C:\scans\.out.partial", r"\\?\C:\scans\out")] * 4
    assert pauses == [Windows.PAUSE_SECONDS] * 3


def test_windows_gives_up_on_a_folder_that_stays_held() -> None:
    pauses: list[float] = []

    def rename(old: str, new: str) -> None:
        raise PermissionError(errno.EACCES, "held for good")

    with pytest.raises(PermissionError):
        Windows(rename=rename, sleep=pauses.append).rename(Path(r"C:\a"), Path(r"C:\b"))
    assert len(pauses) == Windows.ATTEMPTS - 1


def test_windows_tries_again_to_remove_a_held_folder() -> None:
    asked: list[str] = []

    def remove(folder: str) -> None:
        asked.append(folder)
        if len(asked) == 1:
            raise PermissionError(errno.EACCES, "held")

    Windows(remove=remove, sleep=lambda seconds: None).remove(Path(r"C:\scans\.out.partial"))
    assert asked == [r"\\?\C:\scans\.out.partial"] * 2


def test_windows_paths_get_the_long_form() -> None:
    assert long_path(r"C:\scans\Zoë") == r"\\?\C:\scans\Zoë"
    assert long_path(r"C:/scans/out") == r"\\?\C:\scans\out"
    assert long_path(r"\\server\share\out") == r"\\?\UNC\server\share\out"
    assert long_path(r"\\?\C:\scans") == r"\\?\C:\scans"
