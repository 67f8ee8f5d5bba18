"""The cases of a cohort on a Dask scheduler's workers; who runs where, and again after a loss, is Dask's matter."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..extras import load_extra
from ..job import Code, JobError, Request
from ..service.failures import first_line
from .task import Outcome, State, Task, run_task

EXTRA = "cluster"
_PURPOSE = "Computing on several machines"
_CONNECT_SECONDS = 30
_MEMORY_GB = 4.0


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


@contextmanager
def slurm(asked: Slurm) -> Iterator[Any]:
    """A client of a scheduler in this process that submits worker jobs; `JobError` EXTRA_MISSING, SCHEDULER_MISSING."""
    jobqueue = load_extra("dask_jobqueue", EXTRA, _PURPOSE)
    distributed = load_extra("distributed", EXTRA, _PURPOSE)
    given = {"queue": asked.partition, "account": asked.account, "walltime": asked.walltime}
    try:
        cluster = jobqueue.SLURMCluster(
            cores=1,  # Dask's word for cases at a time
            processes=1,
            job_cpu=asked.threads or 1,
            memory=f"{asked.memory_gb or _MEMORY_GB}GB",
            python=sys.executable,
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
        with closing(distributed.Client(cluster)) as client:
            yield client


def compute_on(
    client: Any, tasks: Sequence[tuple[Task, Request]], threads: int | None = None
) -> Generator[str | Outcome, None, None]:
    """Compute the tasks on a scheduler's workers and tell an outcome when one ends.

    A worker that is lost costs a new attempt of its case; Dask gives a case up when `allowed-failures` workers died
    with it. Closing the iterator, or an exception in whoever consumes it, cancels everything.

    Args:
        client: a `distributed.Client`.
        tasks: whose paths mean the same on all machines.
        threads: CPU threads of each case that asks for none; 1 where None.
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
        for future in distributed.as_completed(list(futures)):
            left.discard(future)
            yield _outcome(futures[future].id, future)
    finally:
        if left:
            Path(tasks[0][0].cancel).touch()
            client.cancel(list(left))


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
