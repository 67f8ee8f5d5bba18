"""Scores of one result, alike for all methods: `python -m Testing.benchmarks.score JOB`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from JointRegSegLib.fields import from_lps, jacobian_determinant
from JointRegSegLib.metrics import JacobianStatistics, dice, statistics
from JointRegSegLib.volumes.grid import Grid


def mean_dice(
    found: NDArray[np.integer[Any]], true: NDArray[np.integer[Any]], scored: list[int] | None
) -> tuple[float, dict[int, float]]:
    """Mean over the scored labels that the target has, and each; one that is missing from the result counts 0.

    `scored` None scores every label. Raises `ValueError` where the target has none of them.
    """
    present = {int(value) for value in np.unique(true)} - {0}
    values = sorted(present if scored is None else present & set(scored))
    if not values:
        raise ValueError("the target has no label that is scored")
    each = dice(found, true, values)
    return float(np.mean([each[value] for value in values])), each


def smoothness(field: sitk.Image, inside: NDArray[np.bool_]) -> JacobianStatistics:
    """Figures of a total displacement (LPS mm) on its own grid: central differences, over the voxels `inside`."""
    grid = Grid.of(field)
    voxels = from_lps(sitk.GetArrayFromImage(field).astype(np.float32), grid)
    with torch.inference_mode():
        return statistics(jacobian_determinant(voxels)[0, 0].numpy(), inside)


def warp_labels(labels: sitk.Image, field: sitk.Image) -> NDArray[np.integer[Any]]:
    """Atlas labels on the field's grid, nearest neighbor."""
    transform = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    reference = Grid.of(field).empty_image()
    found: NDArray[np.integer[Any]] = sitk.GetArrayFromImage(
        sitk.Resample(labels, reference, transform, sitk.sitkNearestNeighbor)
    )
    return found


def main() -> None:
    """Score the result that a job describes; only its labels where it names no field."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    target = sitk.ReadImage(job["target"])
    true = sitk.GetArrayFromImage(sitk.ReadImage(job["target_labels"]))
    field = sitk.ReadImage(job["field"]) if job["field"] else None
    if field is not None and not Grid.of(field).same_as(Grid.of(target)):
        raise ValueError("the field is not on the target's grid")
    if job["labels"]:
        found = sitk.GetArrayFromImage(sitk.ReadImage(job["labels"]))
    else:
        found = warp_labels(sitk.ReadImage(job["atlas_labels"]), field)
    mean, each = mean_dice(found, true, job["scored"])
    outcome: dict[str, Any] = {
        "dice": mean,
        "labels": len(each),
        "dice_each": {str(value): round(score, 4) for value, score in each.items()},
    }
    if field is not None:
        figures = smoothness(field, sitk.GetArrayFromImage(target) > 0)
        outcome.update(folding_percent=figures.folding_percent, sdlogj=figures.sd_log)
        outcome["jacobian"] = [figures.minimum, figures.maximum]
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
