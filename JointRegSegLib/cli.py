"""The command line: `jointregseg run` and what `commands` holds.

Imports nothing heavy before a command needs it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .commands import atlases, batch, evaluate, models, report, train
from .commands.atlas_arguments import add_atlases, named_atlases
from .commands.common import print_table
from .commands.registration_arguments import add_registration, registration_of
from .job import Code, JobError, LandmarkUse, QualityTable, Request
from .job.errors import EXIT_CANCELLED, EXIT_OK
from .job.folders import check_output
from .progress import open_progress
from .service.client import Job, start
from .service.failures import MEMORY_ADVICE, as_job_error


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say; returns the exit status (0 done, 1 our fault, 2 input, 3 machine, 130 cancelled)."""
    arguments = parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console may lack letters of a path or a label
    try:
        return int(arguments.command(arguments))
    except KeyboardInterrupt:
        print("Cancelled.", file=sys.stderr)
        return EXIT_CANCELLED
    except Exception as problem:
        error = as_job_error(problem, arguments.memory_advice)
        if error is not problem and error.code is not Code.DISK_FULL:
            print(f"log: {_logged(problem)}", file=sys.stderr)
        print(f"error [{error.code.value}]: {error.message}", file=sys.stderr)
        if error.advice:
            print(f"  what to do: {error.advice}", file=sys.stderr)
        return error.exit_status


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="jointregseg", description="Register a labelled scan to another one and segment that one."
    )
    top.add_argument("--version", action="version", version=f"jointregseg {__version__}")
    top.set_defaults(memory_advice=MEMORY_ADVICE)
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands.add_parser("run", help="register and segment one scan with one atlas or several"))
    train.add(commands.add_parser("train", help="train a method on your own scans"))
    evaluate.add(commands.add_parser("evaluate", help="score a result against a reference"))
    batch.add(commands.add_parser("batch", help="segment many scans with an atlas library"))
    report.add(commands.add_parser("report", help="write a page with pictures and figures of a result"))
    atlases.add(commands.add_parser("atlases", help="make, check or list an atlas library"))
    models.add(commands.add_parser("models", help="list, check, import or remove trained models"))
    return top


def _add_run(command: argparse.ArgumentParser) -> None:
    command.set_defaults(command=run)
    scans = command.add_argument_group("scans (.nii, .nii.gz, .nrrd, .mha, .mhd, or the folder of a DICOM series)")
    add_atlases(scans)
    scans.add_argument("--target", type=Path, required=True, metavar="X", help="the scan to segment")
    scans.add_argument("--target-mask", type=Path, metavar="M", help="voxels of the target to compare (non-zero)")
    scans.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to make for the result")
    scans.add_argument("--overwrite", action="store_true", help="replace an earlier result in that folder")
    _add_guidance(command.add_argument_group("guidance"))
    add_registration(command.add_argument_group("how"))


def _add_guidance(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--atlas-landmarks", type=Path, metavar="P", help="points in the atlas: .mrk.json or .fcsv")
    group.add_argument("--target-landmarks", type=Path, metavar="P", help="the same points in the target")
    group.add_argument(
        "--landmark-use",
        choices=[use.value for use in LandmarkUse],
        default="constrain",
        help="whether the landmarks pull, or are only measured; default: constrain",
    )
    group.add_argument("--continue-from", type=Path, metavar="DIR", help="an earlier result of the same pair")
    group.add_argument("--corrections", type=Path, metavar="L", help="its labels, as you corrected them")
    group.add_argument(
        "--corrected", type=int, nargs="+", default=[], metavar="VALUE", help="the labels that you corrected there"
    )


def run(arguments: argparse.Namespace) -> int:
    """Register and segment one scan; Ctrl-C cancels without leaving anything."""
    request = Request(
        atlases=named_atlases(arguments, arguments.atlas_landmarks),
        target=arguments.target,
        output=arguments.output.absolute(),
        target_mask=arguments.target_mask,
        overwrite=arguments.overwrite,
        **registration_of(arguments),
        landmarks=arguments.target_landmarks,
        landmark_use=LandmarkUse(arguments.landmark_use),
        corrections=arguments.corrections,
        corrected=tuple(arguments.corrected),
        continue_from=arguments.continue_from,
    )
    check_output(request.output, request.overwrite)  # also checked by the worker, but seconds later
    signal.signal(signal.SIGTERM, _interrupt)
    job = start(request, python=sys.executable)
    try:
        with open_progress(arguments.quiet) as progress:
            result = job.wait(progress.show)
    except KeyboardInterrupt:
        _cancel(job)
    except JobError as error:
        if error.code is not Code.WORKER_DIED and job.log_path.is_file():
            print(f"log: {job.log_path}", file=sys.stderr)
        raise
    if not arguments.quiet:
        _print_quality(result.quality)
        print(f"\nresult: {result.folder}")
    return EXIT_OK


def _logged(problem: Exception) -> str:
    """The path of a new file that says where the problem arose."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="jointregseg-", suffix=".log", delete=False) as log:
        log.writelines(traceback.format_exception(problem))
    return log.name


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _cancel(job: Job) -> None:
    """Cancel and raise how it ended; an impatient second Ctrl-C kills."""
    print("\nCancelling; press Ctrl-C again to stop at once.", file=sys.stderr)
    try:
        outcome = job.cancel_and_wait()
    except KeyboardInterrupt:
        job.kill()
        outcome = job.cancel_and_wait()
    if outcome.result is not None:
        print(f"The run had already finished: {outcome.result.folder}", file=sys.stderr)
    raise JobError(Code.CANCELLED, "The run was cancelled.")


def _print_quality(table: QualityTable) -> None:
    rows = [row for row in table.rows() if row[0] != "caution"]
    print_table([("group", "name", "value", "unit", "status"), *rows])
    for caution in table.cautions:
        print(f"caution [{caution.code}]: {caution.message}")


if __name__ == "__main__":
    sys.exit(main())
