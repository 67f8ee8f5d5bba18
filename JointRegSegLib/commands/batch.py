"""`jointregseg batch COHORT.csv --library L --output DIR`."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..cohort.cases import read_cases
from ..cohort.cluster import Slurm, compute_on, connected, slurm
from ..cohort.local import compute, places
from ..cohort.run import Cohort, Compute, run_cohort
from ..cohort.task import State
from ..job import Device, Fusion, Quality, Refinement, Request, Similarity
from ..job.errors import EXIT_BAD_INPUT, EXIT_OK
from ..job.request import OPTIMISATION
from ..library.models import find_model
from ..library.opening import open_library
from ..methods import METHODS
from ..service.client import probe
from ..training.card import load_card
from .atlas_arguments import add_fusion
from .common import add_machine


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
    command.add_argument("--no-report", action="store_true", help="write no pages")
    how = command.add_argument_group("how")
    how.add_argument(
        "--method", choices=[OPTIMISATION, *METHODS], help="default: the model's, else optimisation, without training"
    )
    how.add_argument("--model", type=Path, metavar="NAME_OR_FILE", help="an installed model, or what `train` made")
    how.add_argument("--refine", choices=[r.value for r in Refinement], default="auto", help="as of `run`")
    how.add_argument("--quality", choices=[q.value for q in Quality], default="normal", help="default: normal")
    how.add_argument("--similarity", choices=[s.value for s in Similarity], default="auto", help="default: auto")
    how.add_argument("--start", choices=["auto", "as-placed"], default="auto", help="default: auto")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random; default: 0")
    add_fusion(how)
    how.add_argument("--memory-gb", type=float, metavar="GB", help="the most memory of one case; default: a fair share")
    add_machine(how)
    where = command.add_argument_group("where (without these: on this machine)")
    where.add_argument(
        "--workers", type=int, metavar="N", help="cases at a time, or Slurm jobs; default: what suits the machine"
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
    if arguments.workers is not None and arguments.workers < 1:
        arguments.refuse("--workers is a number of 1 or more")
    tell = functools.partial(print, file=sys.stderr, flush=True)
    cases, unused = read_cases(arguments.cohort)
    if unused and not arguments.quiet:
        tell(f"Columns that nothing uses: {', '.join(unused)}.")
    library = open_library(arguments.library)
    model = None if arguments.model is None else find_model(arguments.model).absolute()
    card = None if model is None else load_card(model)
    template = Request(
        atlases=library.atlases,
        target=Path(),
        output=arguments.output.absolute(),
        quality=Quality(arguments.quality),
        similarity=Similarity(arguments.similarity),
        start=arguments.start,
        device=Device(arguments.device),
        seed=arguments.seed,
        threads=arguments.threads,
        memory_gb=arguments.memory_gb,
        method=arguments.method or (OPTIMISATION if card is None else card.method),
        model=model,
        refinement=Refinement(arguments.refine),
        fusion=Fusion(arguments.fusion),
        most_atlases=arguments.most_atlases,
    )
    cohort = Cohort(
        folder=arguments.output,
        cases=cases,
        template=template,
        atlases=library.digest,
        model="" if card is None else card.digest,
        reports=not arguments.no_report,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _machines(arguments) as compute:
        records = run_cohort(cohort, compute, lambda line: None if arguments.quiet else tell(line))
    failed = sum(record.state is not State.DONE for record in records)
    if not arguments.quiet:
        print(f"{len(records) - failed} of {len(records)} cases are done: {arguments.output}")
    return EXIT_BAD_INPUT if failed else EXIT_OK


@contextmanager
def _machines(arguments: argparse.Namespace) -> Iterator[Compute]:
    if arguments.slurm:
        asked = Slurm(
            jobs=arguments.workers or 1,
            threads=arguments.threads,
            memory_gb=arguments.memory_gb,
            partition=arguments.partition,
            account=arguments.account,
            walltime=arguments.walltime,
        )
        with slurm(asked) as client:
            yield functools.partial(compute_on, client, threads=arguments.threads)
    elif arguments.scheduler:
        with connected(arguments.scheduler) as client:
            yield functools.partial(compute_on, client, threads=arguments.threads)
    else:
        state = probe(sys.executable, os.environ)
        if state.error is not None:
            raise state.error
        yield functools.partial(compute, where=places(arguments.workers, Device(arguments.device), state))
