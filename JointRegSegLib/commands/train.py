"""`jointregseg train`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from ..job import Device
from ..job.errors import EXIT_CANCELLED, EXIT_OK
from ..methods import METHODS, PRESET
from ..progress import open_progress
from ..service.torch_state import load_torch
from .common import add_machine

_MEMORY_ADVICE = (
    "Close other programs, or train with a wider [data] spacing or with [trainer] checkpoint_activations = true."
)


def add(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    command.set_defaults(command=train, memory_advice=_MEMORY_ADVICE)
    command.description = "Methods: " + "; ".join(f"{name}: {words}" for name, words in METHODS.items())
    command.add_argument("--method", choices=sorted(METHODS), required=True, help="what to train")
    command.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR_OR_CSV",
        help="folder where X_labels lies beside X or X_<anything>, or a CSV with the columns image,label,split; "
        "synthmorph needs the label maps alone",
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


def train(arguments: argparse.Namespace) -> int:
    """Train a method; Ctrl-C stops after the present step with a checkpoint, a second one at once."""
    load_torch()
    from ..study.train import Training, train

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
