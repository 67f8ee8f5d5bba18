"""`jointregseg evaluate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..job import Code, Device, JobError, Quality
from ..job.errors import EXIT_OK
from ..job.request import START_AS_PLACED, START_AUTO
from ..library.models import find_model
from ..progress import open_progress
from ..service.torch_state import load_torch
from .common import add_machine, given, print_table

if TYPE_CHECKING:
    from ..evaluation import Evaluation

_OF_RESULT = ("--labels", "--reference", "--label-table", "--field", "--mask", "--csv")
_OF_MODEL = ("--data", "--output", "--split", "--atlases", "--refine", "--quality", "--start", "--device", "--threads")
"""What the one and the other thing to score is told by; none has a default, so that it shows whether it was given."""


def add(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    command.set_defaults(command=evaluate, refuse=command.error)
    one = command.add_argument_group("one result")
    one.add_argument("--labels", type=Path, metavar="RESULT", help="label map, or a result's folder")
    one.add_argument("--reference", type=Path, metavar="TRUTH", help="the true label map")
    one.add_argument("--label-table", type=Path, metavar="T", help="names: Slicer .csv, .ctbl, or value,name")
    one.add_argument("--field", type=Path, metavar="F", help="field whose Jacobian is looked at (field.nrrd)")
    one.add_argument("--mask", type=Path, metavar="M", help="voxels of the field that count (non-zero)")
    one.add_argument("--csv", type=Path, metavar="OUT", help="also write the table here")
    many = command.add_argument_group("a trained model on a data set: labelled training scans x scans of a split")
    many.add_argument("--model", type=Path, metavar="NAME_OR_FILE", help="an installed model, or what `train` made")
    many.add_argument("--data", type=Path, metavar="DIR_OR_CSV", help="as of `train`")
    many.add_argument("--output", type=Path, metavar="DIR", help="folder for records, tables and box plots")
    many.add_argument("--split", choices=["train", "val", "test"], help="default: test")
    many.add_argument("--atlases", type=int, metavar="N", help="default: as many as trained the model")
    many.add_argument(
        "--refine",
        action="append",
        choices=["none", "images", "joint", "optimisation", "all"],
        help="measure the method alone, refined by images, jointly, or the optimisation without it; may be repeated; "
        "default: all",
    )
    many.add_argument("--quality", choices=[q.value for q in Quality], help="default: normal")
    many.add_argument("--start", choices=[START_AUTO, START_AS_PLACED], help="first alignment; default: auto")
    add_machine(many)
    command.set_defaults(device=None)


def evaluate(arguments: argparse.Namespace) -> int:
    """Score one result, or a model on a data set."""
    if arguments.model is not None:
        if of_result := given(arguments, *_OF_RESULT):
            arguments.refuse(f"{', '.join(of_result)}: not with --model")
        if arguments.data is None or arguments.output is None:
            arguments.refuse("--model needs --data and --output")
        return _evaluate_model(arguments)
    if of_model := given(arguments, *_OF_MODEL):
        arguments.refuse(f"{', '.join(of_model)}: only with --model")
    if arguments.labels is None or arguments.reference is None:
        arguments.refuse("give --labels and --reference, or --model, --data and --output")
    if arguments.mask is not None and arguments.field is None:
        arguments.refuse("--mask: only with --field")
    return _evaluate_result(arguments)


def _evaluate_model(arguments: argparse.Namespace) -> int:
    """Print and write how good a model is on a data set."""
    load_torch()
    from ..study.evaluate import Arm, Study, evaluate
    from ..study.tables import PICTURE, cells, draw, markdown, write_tables
    from ..training.subjects import Split

    chosen = arguments.refine or ["all"]
    study = Study(
        model=find_model(arguments.model),
        data=arguments.data,
        output=arguments.output,
        split=Split(arguments.split or "test"),
        atlases=arguments.atlases,
        arms=tuple(arm for arm in Arm if arm.value in chosen or "all" in chosen),
        quality=Quality(arguments.quality or "normal"),
        start=arguments.start or START_AUTO,
        device=Device(arguments.device or "auto"),
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
    from .. import evaluation

    found = evaluation.evaluate(
        arguments.labels, arguments.reference, arguments.label_table, arguments.field, arguments.mask
    )
    if not arguments.quiet:
        _print_result(found)
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


def _print_result(found: Evaluation) -> None:
    """The scores in columns, and the figures of the field where there is one."""
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
