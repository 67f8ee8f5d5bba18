"""The command line: `jointregseg run`, `train`, `evaluate` and what `commands` holds.

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
from typing import Any

from . import __version__
from .commands import atlases, batch, models, report
from .commands.atlas_arguments import add_atlases, add_fusion, named_atlases
from .commands.common import add_machine, print_table
from .job import Code, Device, Fusion, JobError, Quality, QualityTable, Refinement, Request, Similarity
from .job.errors import EXIT_CANCELLED, EXIT_OK
from .job.folders import check_output
from .job.request import OPTIMISATION
from .methods import METHODS, PRESET
from .progress import open_progress
from .service.client import Job, start
from .service.failures import MEMORY_ADVICE, as_job_error
from .service.torch_state import load_torch
from .training.card import load_card

_TRAINING_MEMORY_ADVICE = (
    "Close other programs, or train with a wider [data] spacing or with [trainer] checkpoint_activations = true."
)


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
    _add_train(commands.add_parser("train", help="train a method on your own scans"))
    _add_evaluate(commands.add_parser("evaluate", help="score a result against a reference"))
    batch.add(commands.add_parser("batch", help="segment many scans with an atlas library"))
    report.add(commands.add_parser("report", help="write a page with pictures and figures of a result"))
    atlases.add(commands.add_parser("atlases", help="make, check or list an atlas library"))
    models.add(commands.add_parser("models", help="list, check, import or remove trained models"))
    return top


def _add_run(command: argparse.ArgumentParser) -> None:
    command.set_defaults(command=run)
    scans = command.add_argument_group("scans (.nii, .nii.gz, .nrrd, .mha, or the folder of a DICOM series)")
    add_atlases(scans)
    scans.add_argument("--target", type=Path, required=True, metavar="X", help="the scan to segment")
    scans.add_argument("--target-mask", type=Path, metavar="M", help="voxels of the target to compare (non-zero)")
    scans.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to make for the result")
    scans.add_argument("--overwrite", action="store_true", help="replace an earlier result in that folder")
    how = command.add_argument_group("how")
    how.add_argument(
        "--method", choices=[OPTIMISATION, *METHODS], help="default: the model's, else optimisation, without training"
    )
    how.add_argument("--model", type=Path, metavar="M.safetensors", help="what `train` made")
    how.add_argument(
        "--refine",
        choices=[r.value for r in Refinement],
        default="auto",
        help="what improves the model's field: nothing, the images, or images and the model's segmentation; "
        "default: joint where validation found segmentation no worse than registration, else images",
    )
    how.add_argument("--quality", choices=[q.value for q in Quality], default="normal", help="default: normal")
    how.add_argument("--similarity", choices=[s.value for s in Similarity], default="auto", help="default: auto")
    how.add_argument(
        "--start", default="auto", metavar="auto|as-placed|FILE.tfm", help="first alignment; default: auto"
    )
    add_fusion(how)
    how.add_argument("--seed", type=int, default=0, metavar="N", help="of everything random; default: 0")
    how.add_argument("--memory-gb", type=float, metavar="GB", help="the most memory to plan for; default: what is free")
    add_machine(how)


def _add_train(command: argparse.ArgumentParser) -> None:
    command.set_defaults(command=train, memory_advice=_TRAINING_MEMORY_ADVICE)
    command.description = "Methods: " + "; ".join(f"{name}: {words}" for name, words in METHODS.items())
    command.add_argument("--method", choices=sorted(METHODS), required=True, help="what to train")
    command.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR_OR_CSV",
        help="folder where X_labels lies beside X or X_<anything>, or a CSV with the columns image,label,split",
    )
    command.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the model and its curves"
    )
    command.add_argument("--labelled", type=int, metavar="N", help="hide the labels of all but N training scans")
    command.add_argument("--preset", default=PRESET, metavar="NAME", help="of the method, or a .toml; default: preset")
    command.add_argument("--label-table", type=Path, metavar="T", help="names and colors of the labels")
    command.add_argument("--licence", default="", metavar="TEXT", help="of the data, to be kept with the model")
    command.add_argument("--max-minutes", type=float, metavar="M", help="stop after about so long, with a checkpoint")
    command.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    command.add_argument("--seed", type=int, metavar="N", help="of everything random; default: the preset's")
    add_machine(command)


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.set_defaults(command=evaluate, refuse=command.error)
    one = command.add_argument_group("one result")
    one.add_argument("--labels", type=Path, metavar="RESULT", help="label map, or a result's folder")
    one.add_argument("--reference", type=Path, metavar="TRUTH", help="the true label map")
    one.add_argument("--label-table", type=Path, metavar="T", help="names: Slicer .csv, .ctbl, or value,name")
    one.add_argument("--field", type=Path, metavar="F", help="field whose Jacobian is looked at (field.nrrd)")
    one.add_argument("--mask", type=Path, metavar="M", help="voxels of the field that count (non-zero)")
    one.add_argument("--csv", type=Path, metavar="OUT", help="also write the table here")
    many = command.add_argument_group("a trained model on a data set: labelled training scans x scans of a split")
    many.add_argument("--model", type=Path, metavar="M.safetensors", help="what `train` made")
    many.add_argument("--data", type=Path, metavar="DIR_OR_CSV", help="as of `train`")
    many.add_argument("--output", type=Path, metavar="DIR", help="folder for records, tables and box plots")
    many.add_argument("--split", choices=["train", "val", "test"], default="test", help="default: test")
    many.add_argument("--atlases", type=int, metavar="N", help="default: as many as trained the model")
    many.add_argument(
        "--refine",
        action="append",
        choices=["none", "images", "joint", "optimisation", "all"],
        help="measure the method alone, refined by images, jointly, or the optimisation without it; may be repeated; "
        "default: all",
    )
    many.add_argument("--quality", choices=[q.value for q in Quality], default="normal", help="default: normal")
    many.add_argument("--start", default="auto", metavar="auto|as-placed", help="first alignment; default: auto")
    add_machine(many)


def run(arguments: argparse.Namespace) -> int:
    """Register and segment one scan; Ctrl-C cancels without leaving anything."""
    request = Request(
        atlases=named_atlases(arguments),
        target=arguments.target,
        output=arguments.output.absolute(),
        target_mask=arguments.target_mask,
        quality=Quality(arguments.quality),
        similarity=Similarity(arguments.similarity),
        start=arguments.start,
        device=Device(arguments.device),
        seed=arguments.seed,
        threads=arguments.threads,
        memory_gb=arguments.memory_gb,
        overwrite=arguments.overwrite,
        method=arguments.method or (OPTIMISATION if arguments.model is None else load_card(arguments.model).method),
        model=arguments.model,
        refinement=Refinement(arguments.refine),
        fusion=Fusion(arguments.fusion),
        most_atlases=arguments.most_atlases,
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


def train(arguments: argparse.Namespace) -> int:
    """Train a method; Ctrl-C stops after the present step with a checkpoint, a second one at once."""
    load_torch()
    from .study.train import Training, train

    asked = Training(
        method=arguments.method,
        data=arguments.data,
        output=arguments.output,
        labelled=arguments.labelled,
        preset=arguments.preset,
        device=Device(arguments.device),
        max_minutes=arguments.max_minutes,
        resume=arguments.resume,
        seed=arguments.seed,
        table=arguments.label_table,
        licence=arguments.licence,
        threads=arguments.threads,
    )
    with _Interrupts() as interrupts, open_progress(arguments.quiet) as progress:
        trained = train(asked, progress.show, lambda: interrupts.asked)
    if not arguments.quiet:
        done = "Training is finished" if trained.outcome.finished else "Training stopped; go on with it by --resume"
        print(f"{done}: {trained.outcome.steps} steps in {trained.outcome.seconds / 60:.1f} minutes.")
        for name, score in trained.scores.items():
            print(f"validation Dice, {name}: {score:.3f}")
        print(f"\nmodel: {trained.model}")
    return EXIT_CANCELLED if interrupts.asked else EXIT_OK


def evaluate(arguments: argparse.Namespace) -> int:
    """Score one result, or a model on a data set."""
    if arguments.model is not None:
        if arguments.data is None or arguments.output is None:
            arguments.refuse("--model needs --data and --output")
        return _evaluate_model(arguments)
    if arguments.labels is None or arguments.reference is None:
        arguments.refuse("give --labels and --reference, or --model, --data and --output")
    return _evaluate_result(arguments)


def _evaluate_model(arguments: argparse.Namespace) -> int:
    """Print and write how good a model is on a data set."""
    load_torch()
    from .study.evaluate import Arm, Study, evaluate
    from .study.tables import PICTURE, cells, draw, markdown, write_tables
    from .training.subjects import Split

    chosen = arguments.refine or ["all"]
    study = Study(
        model=arguments.model,
        data=arguments.data,
        output=arguments.output,
        split=Split(arguments.split),
        atlases=arguments.atlases,
        arms=tuple(arm for arm in Arm if arm.value in chosen or "all" in chosen),
        quality=Quality(arguments.quality),
        start=arguments.start,
        device=Device(arguments.device),
        threads=arguments.threads,
    )
    with open_progress(arguments.quiet) as progress:
        records = evaluate(study, progress.show)
    write_tables(study.output, records)
    try:
        draw(study.output / PICTURE, records)
    except JobError as missing:
        print(f"No {PICTURE} was made: {missing}", file=sys.stderr)
    if not arguments.quiet:
        print(markdown(cells(records)))
        print(f"records and tables: {study.output}")
    return EXIT_OK


def _evaluate_result(arguments: argparse.Namespace) -> int:
    """Print, and write where asked, how a result compares with a reference."""
    from . import evaluation

    found = evaluation.evaluate(
        arguments.labels, arguments.reference, arguments.label_table, arguments.field, arguments.mask
    )
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    rows = [("structure", "Dice", "HD95 mm", "ml", "reference ml")]
    rows += [
        (f"{s.value} {s.name}", f"{s.dice:.4f}", f"{s.hd95_mm:.2f}", f"{s.volume_ml:.3f}", f"{s.reference_ml:.3f}")
        for s in found.structures
    ]
    rows.append(("mean", f"{found.mean_dice:.4f}", f"{found.mean_hd95_mm:.2f}", "", ""))
    print_table(rows)
    if found.field is not None:
        print()
        print_table([(name, value, unit) for group, name, value, unit in found.rows() if group == "field"])
    if arguments.csv is not None:
        try:
            arguments.csv.write_text(found.to_csv(), encoding="utf-8")
        except OSError as problem:
            raise JobError(
                Code.OUTPUT_UNWRITABLE,
                f"The table {arguments.csv} cannot be written: {problem.strerror or problem}.",
                "Check its folder and permissions.",
            ) from problem
    return EXIT_OK


class _Interrupts:
    """While it is open, the first Ctrl-C or SIGTERM is only noted; the second raises `KeyboardInterrupt`."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interrupts:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        print("\nStopping after this step; press Ctrl-C again to stop at once.", file=sys.stderr)


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
