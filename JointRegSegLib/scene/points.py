"""Points of a markups node as the file that the engine reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..job import Code, JobError
from ..job.folders import write_whole
from .translation import quoted
from .translation import tr as _


def write_points(path: Path, node: Any) -> None:
    """Write a node's placed points, where its transforms place them, as Slicer's .mrk.json in LPS mm.

    Raises `JobError`: LANDMARKS_INVALID where no point is placed; OUTPUT_UNWRITABLE, DISK_FULL.
    """
    placed = []
    for index in range(node.GetNumberOfControlPoints()):
        if node.GetNthControlPointPositionStatus(index) == node.PositionDefined:
            at = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(index, at)
            label = node.GetNthControlPointLabel(index)
            placed.append({"label": label, "position": [-at[0], -at[1], at[2]], "positionStatus": "defined"})
    if not placed:
        raise JobError(
            Code.LANDMARKS_INVALID,
            _("The list {name} holds no placed points.").format(name=quoted(node.GetName())),
            _("Place the same points in the atlas and in the target."),
        )
    markups = [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": placed}]
    write_whole(path, json.dumps({"markups": markups}))
