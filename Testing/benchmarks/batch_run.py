"""One cohort, as a step: `python -m Testing.benchmarks.batch_run JOB`."""

from __future__ import annotations

import csv
import functools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from JointRegSegLib.cohort.cases import read_cases
from JointRegSegLib.cohort.cluster import compute_on, connected
from JointRegSegLib.cohort.local import Place, compute
from JointRegSegLib.cohort.run import Cohort, Compute, run_cohort
from JointRegSegLib.cohort.task import State
from JointRegSegLib.job import Atlas, Device, Quality, Request


def main(file: Path) -> None:
    """Run the job's cohort and write what it took."""
    job = json.loads(file.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="jrs-bench-") as name, _machines(job) as computing:
        cohort = _cohort(job, Path(name))
        started = time.perf_counter()
        records = run_cohort(cohort, computing, lambda line: print(line, flush=True))
        seconds = time.perf_counter() - started
    failed = [record.message for record in records if record.state is not State.DONE]
    if failed:
        sys.exit(failed[0])
    busy = sum(record.seconds for record in records)
    outcome = {
        "cases": len(records),
        "seconds": seconds,
        "cases_per_hour": 3600 * len(records) / seconds,
        "case_seconds": busy / len(records),
        "idle_share": 1 - busy / (seconds * job["workers"]),
    }
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


def _cohort(job: dict[str, Any], folder: Path) -> Cohort:
    with (folder / "cohort.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("id", "target"), *job["targets"].items()])
    template = Request(
        (Atlas(Path(job["atlas"]), Path(job["atlas_labels"])),),
        Path(),
        folder / "out",
        quality=Quality(job["quality"]),
        device=Device(job["device"]),
    )
    return Cohort(folder / "out", read_cases(folder / "cohort.csv")[0], template, reports=False)


@contextmanager
def _machines(job: dict[str, Any]) -> Iterator[Compute]:
    workers, threads = job["workers"], max(1, job["threads"] // job["workers"])
    if job["through"] == "here":
        yield functools.partial(compute, where=[Place(threads)] * workers)
        return
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        connected(cluster.scheduler_address) as client,
    ):
        yield functools.partial(compute_on, client, threads=threads)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
