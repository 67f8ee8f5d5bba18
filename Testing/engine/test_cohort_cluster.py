"""Cohorts on a Dask scheduler with worker processes of its own, and on a made-up Slurm."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from JointRegSegLib.cohort import cluster
from JointRegSegLib.cohort.cluster import Slurm, compute_on, connected, slurm
from JointRegSegLib.cohort.run import run_cohort
from JointRegSegLib.cohort.task import Outcome, State, Task
from JointRegSegLib.job import Code, JobError, Request
from Testing.engine.cohort_cases import a_cohort, attempts, table
from Testing.engine.cohort_worker import starts
from Testing.engine.test_cohort import _alive, _leftovers, _until
from Testing.rig.need import need

distributed = need("distributed")
SBATCH = """#!/bin/sh
# Runs its own copy of a job script and answers as Slurm does: the submitter deletes the script at once.
echo "$@" >> "{folder}/submitted"
cp "$1" "{folder}/script"
(sh "{folder}/script" > "{folder}/job.log" 2>&1 & echo $! > "{folder}/pid") > /dev/null 2>&1
echo "Submitted batch job 77"
"""


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Any]:
    """A scheduler with two worker processes of one thread, each watched by a nanny."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as found:
        yield found


def _run(cohort: Any, client: Any) -> dict[str, State]:
    records = run_cohort(cohort, partial(compute_on, client), lambda line: None)
    return {record.id: record.state for record in records}


def test_the_cases_are_computed_by_the_schedulers_workers(tmp_path: Path, scheduler: Any) -> None:
    cohort = a_cohort(tmp_path, {"a": {}, "b": {"fails": "image-empty"}, "c": None, "d": {}})
    with connected(scheduler.scheduler_address) as client:
        states = _run(cohort, client)
    assert states == {"a": State.DONE, "b": State.FAILED, "c": State.FAILED, "d": State.DONE}
    assert table(tmp_path)["b"]["message"] == "Something about the target is wrong. Mend it."
    mark = json.loads(starts(tmp_path / "scans" / "a")[0].read_text())
    assert mark["threads"] == 1
    with connected(scheduler.scheduler_address) as client:
        again = a_cohort(tmp_path, {"a": {}, "b": {"fails": "image-empty"}, "d": {}})
        assert _run(again, client)["d"] is State.DONE
    assert [attempts(tmp_path, case) for case in "abd"] == [1, 2, 1]


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_a_worker_killed_in_the_middle_costs_a_retry_and_no_result(tmp_path: Path, scheduler: Any) -> None:
    cohort = a_cohort(tmp_path, {"a": {"first": 60}, "b": {}, "c": {}, "d": {}})
    killed: list[int] = []

    def computing(tasks: Sequence[tuple[Task, Request]]) -> Generator[str | Outcome, None, None]:
        events = compute_on(client, tasks)
        for event in events:
            yield event
            if not killed:
                _until(lambda: attempts(tmp_path, "a") == 1)
                pids = client.run(os.getpid)
                (owner,) = (address for address, keys in client.processing().items() if "jointregseg-a" in str(keys))
                os.kill(pids[owner], signal.SIGKILL)
                killed.append(pids[owner])

    with connected(scheduler.scheduler_address) as client:
        before = time.monotonic()
        records = run_cohort(cohort, computing, lambda line: None)
    assert killed
    assert [record.state for record in records] == [State.DONE] * 4
    assert time.monotonic() - before < 30
    assert [attempts(tmp_path, case) for case in "abcd"] == [2, 1, 1, 1]
    pids = [json.loads(mark.read_text())["pid"] for mark in starts(tmp_path / "scans" / "a")]
    _until(lambda: not any(_alive(pid) for pid in pids))
    assert _leftovers(tmp_path) == []


def test_an_interrupt_ends_what_the_workers_compute(tmp_path: Path, scheduler: Any) -> None:
    cohort = a_cohort(tmp_path, {"a": {}, "b": {"first": 60}, "c": {"first": 60}})

    def interrupted(line: str) -> None:
        _until(lambda: attempts(tmp_path, "b") == 1)
        raise KeyboardInterrupt

    with connected(scheduler.scheduler_address) as client, pytest.raises(KeyboardInterrupt):
        run_cohort(cohort, partial(compute_on, client), interrupted)
    (pid,) = (json.loads(mark.read_text())["pid"] for mark in starts(tmp_path / "scans" / "b"))
    _until(lambda: not _alive(pid))
    _until(lambda: _leftovers(tmp_path) == [])
    assert [row["state"] for row in table(tmp_path).values()] == ["done", "waiting", "waiting"]


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    for address in ("tcp://127.0.0.1:1", "nowhere"):
        with pytest.raises(JobError) as caught, connected(address):
            pass
        assert caught.value.code is Code.SCHEDULER_MISSING
        assert address in caught.value.message


@pytest.mark.parametrize(("module", "opening"), [("distributed", connected), ("dask_jobqueue", slurm)])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str, opening: Any) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(JobError, match=module) as caught, opening("tcp://127.0.0.1:1"):
        pass
    assert caught.value.code is Code.EXTRA_MISSING
    assert "jointregseg[cluster]" in caught.value.advice


def test_a_scheduler_without_workers_is_told_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_LOOK_SECONDS", 0.05)
    told: list[str] = []
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50
    ) as empty:

        def tell(line: str) -> None:
            told.append(line)
            if len(told) == 3:
                empty.scale(1)

        with connected(empty.scheduler_address) as client:
            waiting = partial(tell, cluster.none_at(empty.scheduler_address))
            computing = partial(compute_on, client, alone=waiting)
            (record,) = run_cohort(a_cohort(tmp_path, {"a": {}}), computing, lambda line: None)
            assert len(told) >= 3
            del told[:]
            run_cohort(a_cohort(tmp_path, {"a": {}, "b": {"seconds": 0.3}}), computing, lambda line: None)
            assert told == []
    assert record.state is State.DONE
    assert f"`dask worker {empty.scheduler_address} --nthreads 1`" in waiting.args[0]


def test_a_lost_scheduler_is_told_and_fails_no_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=100) as ended,
        connected(ended.scheduler_address) as client,
    ):
        computing = partial(compute_on, client, alone=ended.close)
        with pytest.raises(JobError, match="The Dask scheduler was lost") as caught:
            run_cohort(a_cohort(tmp_path, {"a": {}, "b": None}), computing, lambda line: None)
    assert caught.value.code is Code.SCHEDULER_MISSING
    assert [row["state"] for row in table(tmp_path).values()] == ["waiting", "waiting"]


def _programs(folder: Path, monkeypatch: pytest.MonkeyPatch, sbatch: str) -> None:
    """Made-up commands of Slurm in `folder/bin`, first on the PATH."""
    need("dask_jobqueue")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text(sbatch.format(folder=folder), encoding="utf-8")
    (programs / "scancel").write_text(f'#!/bin/sh\nkill $(cat "{folder}/pid")\n', encoding="utf-8")
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)


def test_slurm_without_its_commands_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match="no sbatch on the PATH") as caught, slurm(Slurm(1)):
        pass
    assert caught.value.code is Code.SCHEDULER_MISSING


@pytest.mark.skipif(os.name == "nt", reason="Slurm's commands are shell scripts here")
def test_what_slurm_refuses_is_told_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _programs(tmp_path, monkeypatch, '#!/bin/sh\necho "sbatch: error: no partition\n called x.\n" >&2\nexit 1\n')
    with pytest.raises(JobError) as caught, slurm(Slurm(2, partition="x")):
        pass
    assert caught.value.code is Code.SCHEDULER_MISSING
    assert caught.value.message == "Slurm takes no job: sbatch: error: no partition; called x."
    assert "--partition" in caught.value.advice
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Slurm's commands are shell scripts here")
def test_the_jobs_that_slurm_takes_compute_where_it_refuses_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = 'mkdir "{folder}/first" 2> /dev/null || {{ echo "too many jobs" >&2; exit 1; }}\n'
    _programs(tmp_path, monkeypatch, SBATCH.replace("echo", f"{once}echo", 1))
    told: list[str] = []
    with slurm(Slurm(2), told.append) as client:
        (record,) = run_cohort(a_cohort(tmp_path, {"a": {}}), partial(compute_on, client), lambda line: None)
    assert record.state is State.DONE
    assert told == ["Slurm refused 1 of 2 jobs: too many jobs."]


@pytest.mark.skipif(os.name == "nt", reason="Slurm's commands are shell scripts here")
def test_slurm_jobs_compute_the_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _programs(tmp_path, monkeypatch, SBATCH)
    cohort = a_cohort(tmp_path, {"a": {}, "b": {}})
    with slurm(Slurm(1, threads=3, memory_gb=5, partition="long", account="lab", walltime="01:30:00")) as client:
        records = run_cohort(cohort, partial(compute_on, client, threads=3), lambda line: None)
    assert [record.state for record in records] == [State.DONE] * 2
    assert json.loads(starts(tmp_path / "scans" / "a")[0].read_text())["threads"] == 3
    asked = {line.removeprefix("#SBATCH ") for line in (tmp_path / "script").read_text().splitlines()}
    assert {"-p long", "-A lab", "--cpus-per-task=3", "-t 01:30:00", "--mem=5G"} <= asked
    assert len((tmp_path / "submitted").read_text().splitlines()) == 1
