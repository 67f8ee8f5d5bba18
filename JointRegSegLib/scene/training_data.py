"""Scans of the scene as a training set on disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..job.folders import write_whole
from .inputs import AtlasSource, Export
from .translation import tr as _

LIST = "scans.csv"
_ENOUGH_TO_VALIDATE = 3


def write_training_set(scene: Any, labelled: Sequence[AtlasSource], unlabelled: Sequence[Any], folder: Path) -> Path:
    """Write scans in world space under numbers in place of names; files are named where they lie.

    The last of the labelled scans validates where there are three or more.

    Args:
        scene: of the nodes.
        labelled: scans with labels.
        unlabelled: scalar volume nodes, or files.
        folder: it is created where missing.

    Returns: a CSV that `jointregseg train --data` reads.

    Raises `JobError`: as of `request_from_nodes`.
    """
    export = Export(scene, folder)
    rows: list[tuple[str, str, str]] = []
    for number, source in enumerate(labelled, 1):
        atlas = export.atlas(source, number)
        validates = number == len(labelled) >= _ENOUGH_TO_VALIDATE
        rows.append((_written(atlas.image, folder), _written(atlas.labels, folder), "val" if validates else "train"))
    for number, scan in enumerate(unlabelled, 1):
        file = scan if isinstance(scan, Path) else folder / f"scan{number}.nrrd"
        if not isinstance(scan, Path):
            export.volume(scan, file.name, _("scan"))
        rows.append((_written(file, folder), "", "train"))
    path = folder / LIST
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("image", "label", "split"), *rows])
    write_whole(path, text.getvalue())
    return path


def _written(file: Path, folder: Path) -> str:
    return file.name if file.parent == folder else str(file.absolute())
