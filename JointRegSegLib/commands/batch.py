"""`jointregseg batch COHORT.csv --library L --output DIR`."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..cohort.cases import read_cases
from ..cohort.cluster import Slurm, compute_on, connected, none_at, none_of_slurm, slurm
from ..cohort.local import compute, places
from ..cohort.run import Cohort, Compute, run_cohort
from ..cohort.task import State
from ..job import Device, Request
from ..job.errors import EXIT_BAD_INPUT, EXIT_OK
from ..library.opening import open_library
from ..service.client import probe
from ..training.card import load_card
from .common import given
from .registration_arguments import add_registration, registration_of


def add(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    command.set_defaults(command=batch)
    command.add_argument(
        "cohort",
        type=Path,
        metavar="COHORT.csv",
        help="columns id and target; also target_mask, quality, similarity, start, seed for a target of its own kind",
    )
    command.add_argument("--library", type=Path, required=True, metavar="L", help="atlas library: folder or .zip")
    command.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for all; the same again goes on"
    )
    command.add_argument("--no-report", action="store_true", help="write no pages, and no volumes.csv")
    add_registration(command.add_argument_group("how"))
    where = command.add_argument_group("where (without these: on this machine)")
    where.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="cases at a time; default: what suits the machine; with --slurm: jobs; default: 1",
    )
    where.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, such as tcp://node1:8786")
    where.add_argument("--slurm", action="store_true", help="submit workers as Slurm jobs, through dask-jobqueue")
    where.add_argument("--partition", metavar="P", help="of the Slurm jobs")
    where.add_argument("--account", metavar="A", help="of the Slurm jobs")
    where.add_argument("--walltime", metavar="HH:MM:SS", help="of each Slurm job")
    command.set_defaults(refuse=command.error)


def batch(arguments: argparse.Namespace) -> int:
    """Compute a cohort; Ctrl-C cancels what runs and keeps what is done."""
    if arguments.scheduler and arguments.slurm:
        arguments.refuse("--scheduler and --slurm exclude each other")
    if arguments.scheduler and arguments.workers is not None:
        arguments.refuse("--workers and --scheduler exclude each other: the scheduler's workers say how many cases run")
    if not arguments.slurm and (of_jobs := given(arguments, "--partition", "--account", "--walltime")):
        arguments.refuse(f"{', '.join(of_jobs)}: only with --slurm")
    if arguments.workers is not None and arguments.workers < 1:
        arguments.refuse("--workers is a number of 1 or more")
    tell = (lambda line: None) if arguments.quiet else functools.partial(print, file=sys.stderr, flush=True)
    cases, unused = read_cases(arguments.cohort)
    if unused:
        tell(f"Columns that nothing uses: {', '.join(name or '(one without a name)' for name in unused)}.")
    library = open_library(arguments.library)
    template = Request(library.atlases, Path(), arguments.output.absolute(), **registration_of(arguments))
    cohort = Cohort(
        folder=arguments.output,
        cases=cases,
        template=template,
        atlases=library.digest,
        model="" if template.model is None else load_card(template.model).digest,
        reports=not arguments.no_report,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _machines(arguments, tell) as compute:
        records = run_cohort(cohort, compute, tell)
    failed = sum(record.state is not State.DONE for record in records)
    if not arguments.quiet:
        print(f"{len(records) - failed} of {len(records)} cases are done: {arguments.output}")
    return EXIT_BAD_INPUT if failed else EXIT_OK


@contextmanager
def _machines(arguments: argparse.Namespace, tell: Callable[[str], None]) -> Iterator[Compute]:
    if arguments.slurm:
        asked = Slurm(
            jobs=arguments.workers or 1,
            threads=arguments.threads,
            memory_gb=arguments.memory_gb,
            partition=arguments.partition,
            account=arguments.account,
            walltime=arguments.walltime,
        )
        with slurm(asked, tell) as client:
            alone = functools.partial(tell, none_of_slurm())
            yield functools.partial(compute_on, client, threads=arguments.threads, alone=alone)
    elif arguments.scheduler:
        with connected(arguments.scheduler) as client:
            alone = functools.partial(tell, none_at(arguments.scheduler))
            yield functools.partial(compute_on, client, threads=arguments.threads, alone=alone)
    else:
        state = probe(sys.executable, os.environ)
        if state.error is not None:
            raise state.error
        yield functools.partial(compute, where=places(arguments.workers, Device(arguments.device), state))
