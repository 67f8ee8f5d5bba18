"""The cases of a cohort on a Dask scheduler's workers; who runs where, and again after a loss, is Dask's matter."""

from __future__ import annotations

import hashlib
import logging
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..extras import load_extra
from ..job import Code, JobError, Request
from ..service.failures import first_line
from .task import Outcome, State, Task, run_task

EXTRA = "cluster"
_SUBMIT = "sbatch"
_PURPOSE = "Computing on several machines"
_CONNECT_SECONDS = 30
_MEMORY_GB = 4.0
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 60.0
_WORDS = 400


@dataclass(frozen=True)
class Slurm:
    """Jobs of a Slurm cluster, each with one worker that computes one case at a time.

    Attributes:
        jobs: how many at most.
        threads, memory_gb: CPU cores and memory of each; None for 1 and 4.
        partition, account, walltime: as of `sbatch`; what is None comes from dask-jobqueue's own configuration.
    """

    jobs: int
    threads: int | None = None
    memory_gb: float | None = None
    partition: str | None = None
    account: str | None = None
    walltime: str | None = None


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the scheduler at an address (`tcp://host:port`); `JobError` EXTRA_MISSING, SCHEDULER_MISSING."""
    distributed = load_extra("distributed", EXTRA, _PURPOSE)
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as problem:
        raise JobError(
            Code.SCHEDULER_MISSING,
            f"No Dask scheduler answers at {address}: {first_line(problem)}.",
            "Start `dask scheduler` and, on each machine, `dask worker ADDRESS --nthreads 1`; then give its address.",
        ) from problem
    with closing(client):
        yield client


def none_at(address: str) -> str:
    """What to tell while the scheduler at an address has no workers."""
    return f"0 workers at {address}: waiting. `dask worker {address} --nthreads 1` on a machine starts one."


def none_of_slurm() -> str:
    """What to tell while no submitted job runs a worker."""
    return "0 workers of Slurm jobs: waiting. `squeue --me` lists the jobs; what one said is in its slurm-*.out."


@contextmanager
def slurm(asked: Slurm, tell: Callable[[str], None] = lambda line: None) -> Iterator[Any]:
    """A client of a scheduler in this process that submits worker jobs.

    Args:
        asked: which jobs.
        tell: hears of jobs that Slurm refuses while it takes others.

    Raises:
        JobError: EXTRA_MISSING; SCHEDULER_MISSING where no scheduler starts, or where Slurm takes no job, in its words.
    """
    jobqueue = load_extra("dask_jobqueue", EXTRA, _PURPOSE)
    distributed = load_extra("distributed", EXTRA, _PURPOSE)
    if shutil.which(_SUBMIT) is None:
        raise JobError(
            Code.SCHEDULER_MISSING,
            f"Slurm cannot be asked for jobs: there is no {_SUBMIT} on the PATH.",
            "Call this on a machine that submits jobs, or start workers by hand and give --scheduler.",
        )
    submissions = _Submissions()
    given = {"queue": asked.partition, "account": asked.account, "walltime": asked.walltime}
    try:
        cluster = jobqueue.SLURMCluster(
            cores=1,  # Dask's word for cases at a time
            processes=1,
            job_cpu=asked.threads or 1,
            memory=f"{asked.memory_gb or _MEMORY_GB}GB",
            python=sys.executable,
            job_cls=_watched(jobqueue.slurm.SLURMJob, distributed, submissions),
            scheduler_options={
                "dashboard": False,
                "dashboard_address": ":0",
            },  # it would show the cases to whoever reaches this machine
            **{name: value for name, value in given.items() if value is not None},
        )
    except (OSError, RuntimeError, ValueError) as problem:
        raise JobError(
            Code.SCHEDULER_MISSING,
            f"No Dask scheduler for Slurm can be started: {first_line(problem)}.",
            "Check dask-jobqueue's configuration.",
        ) from problem
    with closing(cluster):
        cluster.scale(jobs=asked.jobs)
        _require_jobs(submissions, asked.jobs, tell)
        with closing(distributed.Client(cluster)) as client:
            yield client


@dataclass
class _Submissions:
    """How many jobs `sbatch` was asked for and answered, and its words where it refused one."""

    answered: int = 0
    refusals: list[str] = field(default_factory=list)


def _watched(job_class: Any, distributed: Any, submissions: _Submissions) -> Any:
    """A kind of Dask's jobs that notes what became of its submission; Dask would print a traceback and wait in vain."""

    async def start(job: Any) -> None:
        try:
            await job_class.start(job)
        except Exception as problem:
            submissions.refusals.append(_words_of(problem))
            job.status = distributed.Status.running  # for Dask; without a number there is nothing to end later
        finally:
            submissions.answered += 1

    return type("WatchedJob", (job_class,), {"start": start})


def _words_of(problem: Exception) -> str:
    """What `sbatch` said, in one line; dask-jobqueue puts it behind words of its own."""
    said = str(problem).rpartition("stderr:\n")[2] or str(problem)
    return "; ".join(line.strip() for line in said.splitlines() if line.strip())[:_WORDS].rstrip(".")


def _require_jobs(submissions: _Submissions, jobs: int, tell: Callable[[str], None]) -> None:
    """Wait until Slurm has answered for each job; `JobError` SCHEDULER_MISSING where it took none."""
    while submissions.answered < jobs:
        time.sleep(_POLL_SECONDS)
    refused = submissions.refusals
    if len(refused) == jobs:
        raise JobError(
            Code.SCHEDULER_MISSING,
            f"Slurm takes no job: {refused[0]}.",
            "Check --partition, --account, --walltime, --threads and --memory-gb, and dask-jobqueue's configuration.",
        )
    if refused:
        tell(f"Slurm refused {len(refused)} of {jobs} jobs: {refused[0]}.")


def compute_on(
    client: Any,
    tasks: Sequence[tuple[Task, Request]],
    threads: int | None = None,
    alone: Callable[[], None] = lambda: None,
) -> Generator[str | Outcome, None, None]:
    """Compute the tasks on a scheduler's workers and tell an outcome when one ends.

    A worker that is lost costs a new attempt of its case; Dask gives a case up when `allowed-failures` workers died
    with it. Closing the iterator, or an exception in whoever consumes it, cancels everything.

    Args:
        client: a `distributed.Client`.
        tasks: whose paths mean the same on all machines.
        threads: CPU threads of each case that asks for none; 1 where None.
        alone: is called while the scheduler has no workers, at once and then every minute.

    Raises:
        JobError: SCHEDULER_MISSING where the scheduler is lost.
    """
    distributed = load_extra("distributed", EXTRA, _PURPOSE)
    futures = {}
    for task, request in tasks:
        there = replace(task, request=replace(request, threads=request.threads or threads or 1).to_json())
        # The same case has the same key, so that a scheduler that still computes it does not begin again.
        key = f"jointregseg-{task.id}-{hashlib.sha256(there.request.encode()).hexdigest()[:16]}"
        futures[client.submit(run_task, there, key=key, pure=False)] = task
    left = set(futures)
    try:
        for future in _as_they_end(client, distributed.as_completed(list(futures)), alone):
            if future.cancelled():
                raise _lost()
            left.discard(future)
            yield _outcome(futures[future].id, future)
    finally:
        if left:
            Path(tasks[0][0].cancel).touch()
            with suppress(OSError, RuntimeError):  # of a scheduler that is no more
                client.cancel(list(left))


def _lost() -> JobError:
    # Dask's client would go on to look for it, and end with a traceback.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    return JobError(
        Code.SCHEDULER_MISSING,
        "The Dask scheduler was lost: it ended, or the network did not reach it.",
        "Start it and its workers again, then the same batch: it goes on with what is missing.",
    )


def _as_they_end(client: Any, ended: Any, alone: Callable[[], None]) -> Iterator[Any]:
    """The futures of Dask's iterator, with a look at the workers between them."""
    look = time.monotonic()
    while not ended.is_empty():
        if ended.has_ready():
            yield next(ended)
        elif time.monotonic() < look:
            time.sleep(_POLL_SECONDS)
        else:
            look = time.monotonic() + _LOOK_SECONDS
            with suppress(OSError):  # what a lost scheduler means, the futures tell
                if not client.nthreads():
                    alone()


def _outcome(case: str, future: Any) -> Outcome:
    try:
        outcome: Outcome = future.result()
        return outcome
    except Exception as problem:  # what Dask itself raises: a lost worker, or a package that its workers lack
        return Outcome(
            case,
            State.FAILED,
            Code.WORKER_DIED.value,
            f"The cluster could not compute it: {type(problem).__name__}: {first_line(problem)}.",
        )
