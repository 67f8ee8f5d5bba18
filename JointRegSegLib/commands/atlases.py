"""`jointregseg atlases create|check|list`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..job import JobError
from ..job.errors import EXIT_OK
from ..library.manifest import LICENCE, Library, Member, invalid
from ..library.opening import open_library
from .common import print_table, read_text

if TYPE_CHECKING:
    from ..library.create import OverviewsOf, Told


def add(command: argparse.ArgumentParser) -> None:
    """The arguments."""
    actions = command.add_subparsers(metavar="ACTION", required=True)
    make = actions.add_parser("create", help="make a library of labelled scans")
    make.set_defaults(command=create)
    make.add_argument(
        "source",
        type=Path,
        metavar="DIR_OR_CSV",
        help="folder where X_labels lies beside X or X_<anything>, or a CSV with the columns image,label",
    )
    make.add_argument("--output", type=Path, required=True, metavar="DIR_OR_ZIP", help="the library to make")
    make.add_argument(
        "--label-table", type=Path, metavar="T", help="names and colors: Slicer .csv, .ctbl, or value,name"
    )
    make.add_argument("--licence", type=Path, metavar="TXT", help="the terms that the scans are under")
    make.add_argument("--name", default="", metavar="NAME", help="of the library; default: as DIR_OR_ZIP is called")
    make.add_argument("--library-version", default="1", metavar="V", help="of its contents; default: 1")
    make.add_argument(
        "--keep-names",
        action="store_true",
        help="name the members as their files are called, which must not tell who they show; default: 1, 2, ...",
    )
    make.add_argument(
        "--without-overviews",
        action="store_true",
        help="make none of the overviews by which --most-atlases chooses quickly; these need PyTorch",
    )
    make.add_argument("--quiet", action="store_true", help="print nothing but errors")
    look = actions.add_parser("check", help="look whether a library is whole")
    look.set_defaults(command=check)
    look.add_argument("library", type=Path, metavar="DIR_OR_ZIP")
    show = actions.add_parser("list", help="show what a library holds")
    show.set_defaults(command=list_members)
    show.add_argument("library", type=Path, metavar="DIR_OR_ZIP")


def create(arguments: argparse.Namespace) -> int:
    """Make a library."""
    from ..library.create import Plan, create

    plan = Plan(
        source=arguments.source,
        output=arguments.output.absolute(),
        table=arguments.label_table,
        licence="" if arguments.licence is None else read_text(arguments.licence),
        name=arguments.name,
        version=arguments.library_version,
        keep_names=arguments.keep_names,
    )

    def tell(line: str) -> None:
        if not arguments.quiet:
            print(line, file=sys.stderr)

    manifest = create(plan, tell, None if arguments.without_overviews else _overviews(tell))
    if not arguments.quiet:
        print(f"library: {plan.output} ({len(manifest.members)} members)")
    return EXIT_OK


def _overviews(tell: Told) -> OverviewsOf | None:
    """What makes overviews; None, and a word on it, where PyTorch cannot be loaded."""
    from ..service.torch_state import load_torch

    try:
        load_torch()
    except JobError as problem:
        tell(f"The library gets no overviews: {problem.message}")
        return None
    from ..pipeline.overviews import make_overviews

    return make_overviews


def check(arguments: argparse.Namespace) -> int:
    """Print all that is wrong with a library; an error where anything is."""
    from ..library.check import check

    library = open_library(arguments.library)
    findings = check(library)
    if not findings:
        print(f"{arguments.library} is whole: {len(library.manifest.members)} members.")
        return EXIT_OK
    for finding in findings:
        print(f"{finding.member or 'library'}: {finding.what}")
    raise _faulty(arguments.library, len(findings))


def list_members(arguments: argparse.Namespace) -> int:
    """Print what a library holds."""
    library = open_library(arguments.library)
    manifest = library.manifest
    print(f"{manifest.name}, version {manifest.version}. Licence: {manifest.licence or f'see {LICENCE}'}")
    print("Its members have overviews." if manifest.overviews else "Its members have no overviews.")
    print_table([("member", "voxels", "spacing mm", "structures", "MB"), *(_row(library, m) for m in manifest.members)])
    return EXIT_OK


def _row(library: Library, member: Member) -> tuple[str, ...]:
    size = sum((library.folder / file).stat().st_size for file in (member.image, member.labels))
    return (
        member.name,
        " x ".join(str(n) for n in member.grid.size),
        " x ".join(f"{s:.3g}" for s in member.grid.spacing),
        str(len(member.values)),
        f"{size / 1e6:.1f}",
    )


def _faulty(path: Path, number: int) -> JobError:
    return invalid(path, f"{number} things are wrong with it" if number > 1 else "something is wrong with it")
