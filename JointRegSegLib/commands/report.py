"""`jointregseg report RESULT`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..job import Atlas, Result
from ..job.errors import EXIT_OK


def add(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    command.set_defaults(command=report)
    command.add_argument("result", type=Path, metavar="RESULT_DIR", help="the folder of a finished run")
    command.add_argument("--target", type=Path, metavar="X", help="the scan that was segmented, to draw on")
    command.add_argument("--atlas", type=Path, metavar="A", help="the labelled scan, for pictures of before")
    command.add_argument("--atlas-labels", type=Path, metavar="L", help="its label map; goes with --atlas")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")
    command.set_defaults(refuse=command.error)


def report(arguments: argparse.Namespace) -> int:
    """Write the page of a run into its folder."""
    if (arguments.atlas is None) != (arguments.atlas_labels is None):
        arguments.refuse("--atlas and --atlas-labels go together")
    from ..report.run_page import write_report

    atlas = None if arguments.atlas is None else Atlas(arguments.atlas, arguments.atlas_labels)
    page = write_report(Result.open(arguments.result), arguments.target, atlas)
    if not arguments.quiet:
        print(f"report: {page}")
    return EXIT_OK
