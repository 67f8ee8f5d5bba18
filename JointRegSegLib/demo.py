"""`python -m JointRegSegLib.demo`: the main job on the phantom pair, with its figures and a picture."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .job import Atlas, Code, JobError, Quality, QualityTable, Request, Result, result
from .job.errors import EXIT_OK
from .metrics import dice
from .phantom import PhantomFiles, write_pair
from .progress import open_progress
from .report.overview import overview
from .service import client
from .volumes import read_label_map, resample_labels_to

PICTURE = "overview.png"


def main(arguments: list[str] | None = None) -> int:
    """Make the pair, register it, print the quality table, draw the picture; the shell's exit status."""
    parser = argparse.ArgumentParser(prog="python -m JointRegSegLib.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for everything")
    parser.add_argument("--quality", choices=[quality.value for quality in Quality], default=Quality.NORMAL.value)
    parser.add_argument("--seed", type=int, default=0, help="of the two individuals of the phantom")
    options = parser.parse_args(arguments)
    try:
        return _demonstrate(options.output, Quality(options.quality), options.seed)
    except JobError as error:
        print(f"error [{error.code.value}]: {error}", file=sys.stderr)
        return error.exit_status


def _demonstrate(folder: Path, quality: Quality, seed: int) -> int:
    try:
        files = write_pair(folder / "input", seed)
    except OSError as problem:
        raise JobError(
            Code.OUTPUT_UNWRITABLE,
            f"The folder {folder} cannot be written: {problem.strerror or problem}.",
            "Name another folder with --output.",
        ) from problem
    print(f"The phantom pair is in {files.atlas.parent}.")
    request = Request(
        atlases=(Atlas(files.atlas, files.atlas_labels, files.table),),
        target=files.target,
        output=folder / "result",
        quality=quality,
        overwrite=True,
    )
    with open_progress(quiet=False) as progress:
        run = client.start(request).wait(progress.show)
    print(f"\nThe result is in {run.folder}.\n")
    _print_quality(run.quality)
    _print_overlap(run, files)
    try:
        overview(run, files.atlas, files.target, folder / PICTURE)
    except ModuleNotFoundError as problem:
        print(problem)
    else:
        print(f"\nThe picture is {folder / PICTURE}.")
    return EXIT_OK


def _print_quality(table: QualityTable) -> None:
    width = max((len(measure.name) for measure in table.measures), default=0)
    for measure in table.measures:
        print(f"{measure.name:<{width}}  {measure.value:>10.4g} {measure.unit:<4} {measure.status.value}".rstrip())
    seconds = sum(step.seconds for step in table.steps)
    peak = max((step.peak_mb for step in table.steps), default=0.0)
    print(f"{'time':<{width}}  {seconds:>10.4g} s")
    print(f"{'peak memory':<{width}}  {peak:>10.4g} MB")


def _print_overlap(run: Result, files: PhantomFiles) -> None:
    truth = read_label_map(files.target_labels, files.table)
    found = read_label_map(run.path(result.LABELS), files.table)
    placed = resample_labels_to(read_label_map(files.atlas_labels, files.table), truth.grid)
    before = dice(placed.array, truth.array, truth.table)
    after = dice(found.array, truth.array, truth.table)
    width = max(len(label.name) for label in truth.table.values())
    print(f"\n{'Dice with the true labels':<{width}}  {'as placed':>9}  {'registered':>10}")
    for value, label in truth.table.items():
        print(f"{label.name:<{width}}  {before.get(value, 0.0):>9.3f}  {after.get(value, 0.0):>10.3f}")
    mean_before, mean_after = (sum(scores.values()) / len(truth.table) for scores in (before, after))
    print(f"{'mean':<{width}}  {mean_before:>9.3f}  {mean_after:>10.3f}")


if __name__ == "__main__":
    sys.exit(main())
