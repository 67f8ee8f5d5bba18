"""What several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..job import Code, Device, JobError


def add_machine(command: argparse._ActionsContainer) -> None:
    """What every command that computes is asked of the machine and the console."""
    command.add_argument("--device", choices=[d.value for d in Device], default="auto", help="default: auto")
    command.add_argument("--threads", type=int, metavar="N", help="CPU threads; default: all")
    command.add_argument("--quiet", action="store_true", help="print nothing but errors")


def given(arguments: argparse.Namespace, *flags: str) -> list[str]:
    """Those of these flags that the command line has; without them they have to be None or an empty list."""
    return [flag for flag in flags if getattr(arguments, flag[2:].replace("-", "_")) not in (None, [])]


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of equal length in columns as wide as they need."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def read_text(path: Path) -> str:
    """A file's text; `JobError` FILE_MISSING or FILE_UNREADABLE."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as problem:
        raise JobError(Code.FILE_MISSING, f"There is no {path}.", "Check the path.") from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise JobError(Code.FILE_UNREADABLE, f"{path} cannot be read as text.", "Save it as UTF-8 text.") from problem
