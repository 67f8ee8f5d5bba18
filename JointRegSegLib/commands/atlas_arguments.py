"""Naming one atlas, several, or a library of them, and how their labels are fused."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..job import Atlas, Code, Fusion, JobError
from ..library.opening import open_library
from .common import given


def add_atlases(scans: argparse._ArgumentGroup) -> None:
    """The arguments that name atlases; those of several are paired in their order."""
    scans.add_argument(
        "--atlas", type=Path, action="append", default=[], metavar="A", help="the labelled scan; may be repeated"
    )
    scans.add_argument(
        "--atlas-labels",
        type=Path,
        action="append",
        default=[],
        metavar="L",
        help="its label map or .seg.nrrd; one for each --atlas, in their order",
    )
    scans.add_argument("--library", type=Path, metavar="LIB", help="instead: all atlases of a library")
    scans.add_argument(
        "--label-table", type=Path, metavar="T", help="names and colors: Slicer .csv, .ctbl, or value,name"
    )
    scans.add_argument(
        "--atlas-name",
        action="append",
        default=[],
        metavar="NAME",
        help="what the result calls the atlas; one for each --atlas",
    )
    scans.add_argument(
        "--atlas-mask",
        type=Path,
        action="append",
        default=[],
        metavar="M",
        help="voxels of the atlas to compare (non-zero); one for each --atlas",
    )


def add_fusion(how: argparse._ArgumentGroup) -> None:
    """The arguments on several atlases."""
    how.add_argument(
        "--fusion",
        choices=[fusion.value for fusion in Fusion],
        default="auto",
        help="how several atlases' labels are made one label map; default: auto",
    )
    how.add_argument("--most-atlases", type=int, metavar="K", help="use only the K atlases most like the target")


def named_atlases(arguments: argparse.Namespace, landmarks: Path | None = None) -> tuple[Atlas, ...]:
    """The atlases that the arguments name; `JobError` REQUEST_INVALID where they do not go together.

    `landmarks`: of the atlas, where there is one.
    """
    images = arguments.atlas
    if arguments.library is not None:
        of_atlases = given(arguments, "--atlas", "--atlas-labels", "--label-table", "--atlas-name", "--atlas-mask")
        of_atlases += [] if landmarks is None else ["--atlas-landmarks"]
        if of_atlases:
            raise _invalid(
                f"The command has --library {arguments.library} and {', '.join(of_atlases)} too.",
                "A library brings its scans, labels and names; leave either out.",
            )
        return open_library(arguments.library).atlases
    if not images:
        raise _invalid("The command names no atlas.", "Give --atlas and --atlas-labels, or --library.")
    if landmarks is not None and len(images) > 1:
        raise _invalid(
            f"The command names {len(images)} atlases and the landmarks {landmarks} of one.", "Name one atlas."
        )
    labels = _paired(images, arguments.atlas_labels, "--atlas-labels", needed=True)
    masks = _paired(images, arguments.atlas_mask, "--atlas-mask")
    names = _paired(images, arguments.atlas_name, "--atlas-name")
    return tuple(
        Atlas(image, of_it, arguments.label_table, mask, landmarks, name or "")
        for image, of_it, mask, name in zip(images, labels, masks, names, strict=True)
    )


def _paired(images: list[Path], given: list[Any], flag: str, needed: bool = False) -> list[Any]:
    if not given and not needed:
        return [None] * len(images)
    if len(given) != len(images):
        raise _invalid(
            f"The command has --atlas {len(images)} times and {flag} {len(given)} times.",
            f"Give {flag} once for each --atlas, in the same order.",
        )
    return given


def _invalid(what: str, advice: str) -> JobError:
    return JobError(Code.REQUEST_INVALID, what, advice)
