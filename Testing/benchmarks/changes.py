"""What is done to a target before it is registered: `python -m Testing.benchmarks.changes JOB`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from JointRegSegLib.volumes.grid import Grid

_SEED = 2024
# Old brightness (share of the range) and new: up, down and up again, so no monotonic map undoes it, and slowly enough
# not to turn a scan's noise into edges.
_OLD = (0.0, 0.3, 0.6, 0.85, 1.0)
_NEW = (0.1, 1.0, 0.65, 0.3, 0.5)


def other_contrast(image: sitk.Image) -> sitk.Image:
    """The same anatomy with a fixed non-monotonic map of brightness and a smooth bias field (0.6 to 1.6); 0 stays 0."""
    old: NDArray[np.float64] = sitk.GetArrayFromImage(image).astype(float)
    inside = old > 0
    low, high = np.percentile(old[inside], (0.5, 99.5))
    new = np.interp((old - low) / (high - low), _OLD, _NEW) * bias_field(old.shape)
    return Grid.of(image).place(sitk.GetImageFromArray(np.where(inside, 1000.0 * new, 0.0).astype(np.float32)))


def bias_field(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A smooth positive factor, 0.6 to 1.6, from a seeded polynomial of degree 2 in the three axes."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij", sparse=True)
    terms = [*axes, *(a * b for i, a in enumerate(axes) for b in axes[i:])]
    weights = np.random.default_rng(_SEED).normal(size=len(terms))
    total = np.zeros(shape)
    for weight, term in zip(weights, terms, strict=True):
        total += weight * term
    share = (total - total.min()) / np.ptp(total)
    return np.asarray(0.6 * (1.6 / 0.6) ** share)


def offset(image: sitk.Image) -> sitk.Image:
    """The same voxels 40 mm away, along an oblique direction."""
    moved = sitk.Image(image)
    moved.SetOrigin((np.asarray(image.GetOrigin()) + 40.0 * np.array([2, -1, 2]) / 3.0).tolist())
    return moved


def rotation(image: sitk.Image) -> sitk.Image:
    """The same voxels turned by 60 degrees about an oblique axis through the middle of the image."""
    turn = sitk.VersorRigid3DTransform()
    turn.SetRotation((1.0, 2.0, 2.0), np.deg2rad(60.0))
    matrix = np.reshape(turn.GetMatrix(), (3, 3))
    grid = Grid.of(image)
    turned = sitk.Image(image)
    turned.SetDirection((matrix @ np.reshape(grid.direction, (3, 3))).ravel().tolist())
    turned.SetOrigin((grid.centre + matrix @ (np.asarray(grid.origin) - grid.centre)).tolist())
    return turned


# A change that is redefined needs another name: finished rows are known by it.
# What changes the voxels is done to the image alone; what changes their place, to the labels as well.
CHANGES: dict[str, tuple[Callable[[sitk.Image], sitk.Image], bool]] = {
    "other contrast": (other_contrast, False),
    "40 mm offset": (offset, True),
    "60 degree rotation": (rotation, True),
}


def main() -> None:
    """Write the changed target and its labels."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    change, moves = CHANGES[job["change"]]
    sitk.WriteImage(change(sitk.ReadImage(job["target"])), job["new_target"])
    labels = sitk.ReadImage(job["target_labels"])
    sitk.WriteImage(change(labels) if moves else labels, job["new_labels"])
    Path(job["outcome"]).write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    main()
