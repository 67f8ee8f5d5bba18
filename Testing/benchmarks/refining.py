"""A user who corrects three structures, and what the others gain: `python -m Testing.benchmarks.refining JOB`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from JointRegSegLib.metrics import dice
from JointRegSegLib.volumes.grid import Grid

Labels = NDArray[np.integer[Any]]


def at_ranks(found: Labels, true: Labels, scored: Sequence[int], ranks: Sequence[int], least: int) -> list[int]:
    """Of the scored labels with more than `least` voxels in the target, those at these ranks of Dice, 0 the worst.

    Raises `ValueError` where there are too few.
    """
    large = [value for value in scored if (true == value).sum() > least]
    scores = dice(found, true, large)
    ordered = sorted(large, key=lambda value: (scores[value], value))
    if len(ordered) <= max(ranks):
        raise ValueError(f"only {len(ordered)} scored labels have more than {least} voxels")
    return [ordered[rank] for rank in ranks]


def corrected(found: Labels, true: Labels, values: Sequence[int]) -> Labels:
    """The result with these structures as they truly are; what was wrongly taken for one of them becomes 0."""
    left = np.where(np.isin(found, values), 0, found)
    return np.where(np.isin(true, values), true, left)


def around(maps: dict[str, Labels], true: Labels, scored: Sequence[int], near: NDArray[np.bool_]) -> dict[str, Any]:
    """How many scored structures have voxels `near`, and their mean Dice in each map, as `neighbours_NAME`."""
    values = sorted({int(value) for value in np.unique(true[near])} & set(scored))
    if not values:
        raise ValueError("no scored structure comes near a corrected one")
    means = {f"neighbours_{name}": float(np.mean(list(dice(m, true, values).values()))) for name, m in maps.items()}
    return {"neighbours": len(values), **means}


def _correct(job: dict[str, Any]) -> dict[str, Any]:
    image = sitk.ReadImage(job["found"])
    found, true = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(sitk.ReadImage(job["target_labels"]))
    values = at_ranks(found, true, job["scored"], job["ranks"], job["least_voxels"])
    edited = corrected(found, true, values).astype(found.dtype)
    sitk.WriteImage(Grid.of(image).place(sitk.GetImageFromArray(edited)), job["corrections"], True)
    return {"corrected": values}


def _score(job: dict[str, Any]) -> dict[str, Any]:
    image = sitk.ReadImage(job["corrections"])
    edited = sitk.GetArrayFromImage(image)
    true, before, after = (
        sitk.GetArrayFromImage(sitk.ReadImage(job[name])) for name in ("target_labels", "found", "refined")
    )
    values = job["corrected"]
    there = np.isin(edited, values)
    near = ndimage.distance_transform_edt(~there, sampling=image.GetSpacing()[::-1]) <= job["near_mm"]
    others = [value for value in job["scored"] if value not in values]
    scores = around({"before": before, "edited": edited, "after": after}, true, others, near)
    lost = int((np.isin(after, values) | there)[(after != edited)].sum())
    # What the manual structures overwrote is the user's gain, not the refinement's.
    gain = scores["neighbours_after"] - max(scores["neighbours_before"], scores["neighbours_edited"])
    return {**scores, "neighbours_gain": gain, "edits_lost": lost}


def main() -> None:
    """Do what the job's `action` says: "correct" a result, or "score" a refined one."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    outcome = {"correct": _correct, "score": _score}[job["action"]](job)
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
