"""Step 5: how good the result is, in numbers with limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..fields import displaced_positions, from_lps, jacobian_determinant, sample
from ..job import LabelVolume, Measure, Status
from ..metrics import statistics
from ..volumes import Grid, LabelMap
from .placing import slabs
from .prepare import Inputs
from .progress import Progress
from .propagate import Propagated
from .transform import Transform

_CUT_SHARE = 0.05


@dataclass(frozen=True)
class Checked:
    """The determinant map on the target's grid (k, j, i), the measures and the label volumes."""

    jacobian: NDArray[np.float32]
    measures: tuple[Measure, ...]
    labels: tuple[LabelVolume, ...]


def check(
    inputs: Inputs,
    transform: Transform,
    field: NDArray[np.float32],
    field_inverse: NDArray[np.float32],
    propagated: Propagated,
    progress: Progress,
) -> Checked:
    """Measure the fields (LPS mm, target's and atlas's grid) and the labels; cautions go to `progress`."""
    grid = inputs.target.grid
    jacobian = determinants(field, grid)
    folds = statistics(jacobian, inputs.body)
    progress.done(0.4)
    errors = inverse_errors(field, grid, field_inverse, inputs.atlas.grid, inputs.body)
    mean_error, high_error = float(errors.mean()), float(np.percentile(errors, 99.9))
    progress.done(0.8)
    name, better = transform.similarity.value, transform.after > transform.before
    measures: tuple[Measure, ...] = (
        Measure("folding_percent", "folding", folds.folding_percent, "%", _grade(folds.folding_percent, 0.0, 0.1)),
        Measure("jacobian_min", "smallest Jacobian", folds.minimum, "", _grade(-folds.minimum, -0.05, 0.0)),
        Measure("jacobian_max", "largest Jacobian", folds.maximum, ""),
        Measure("sdlogj", "SDlogJ", folds.sd_log, "", _grade(folds.sd_log, 0.6, 1.0)),
        Measure("inverse_error_mean", "inverse error, mean", mean_error, "mm", _grade(mean_error, 0.1, 0.5)),
        Measure("inverse_error_p999", "inverse error, 99.9 %", high_error, "mm", _grade(high_error, 1.0, 3.0)),
        Measure("similarity_before", f"{name} before", transform.before),
        Measure("similarity_after", f"{name} after", transform.after, "", Status.GOOD if better else Status.BAD),
    )
    if inputs.landmarks is not None:
        measures += inputs.landmarks.measures(transform.affine, field, grid)
    if folds.folding_percent > 0:
        progress.caution("folding", f"The field folds in {folds.folding_percent:.2g} % of the body's voxels.")
    _look_for_lost_labels(inputs.labels, propagated.labels, field_inverse, grid, progress)
    return Checked(jacobian, measures, label_volumes(propagated.labels))


def determinants(field: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Jacobian determinants (k, j, i) of a field of LPS mm vectors on `grid`."""
    found = np.empty(grid.shape, np.float32)
    for part, _ in slabs(grid):
        wider = slice(max(part.start - 1, 0), part.stop + 1)
        if field[wider].shape[0] < 2:
            wider = slice(max(part.start - 2, 0), part.stop)
        some = jacobian_determinant(from_lps(field[wider], grid))[0, 0].numpy()
        found[part] = some[part.start - wider.start :][: part.stop - part.start]
    return found


def inverse_errors(
    field: NDArray[np.float32], grid: Grid, back: NDArray[np.float32], atlas: Grid, mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """`|u(x) + w(x + u(x))|` in mm at the voxels of `mask` whose image lies inside the atlas's grid, shape (n,).

    A single 0 where there is no such voxel.
    """
    limits = torch.tensor(atlas.shape)[:, None] - 1
    w = torch.from_numpy(back).permute(3, 0, 1, 2)[None]
    found = [np.zeros(0, np.float32)]
    for part, lattice in slabs(grid):
        positions = displaced_positions(field[part], lattice, atlas)[0][:, torch.from_numpy(mask[part])]
        known = ((positions >= 0) & (positions <= limits)).all(0)
        if known.any():
            u = torch.from_numpy(field[part][mask[part]])[known].T
            there = sample(w, positions[:, known][None, :, :, None, None])[0, :, :, 0, 0]
            found.append((u + there).norm(dim=0).numpy())
    errors = np.concatenate(found)
    return errors if errors.size else np.zeros(1, np.float32)


def label_volumes(labels: LabelMap) -> tuple[LabelVolume, ...]:
    """Voxels and ml of every label the table names."""
    counts = np.bincount(labels.array.ravel(), minlength=max(labels.table, default=0) + 1)
    return tuple(
        LabelVolume(value, label.name, int(counts[value]), float(counts[value]) * labels.grid.voxel_ml)
        for value, label in labels.table.items()
    )


def _look_for_lost_labels(
    atlas: LabelMap, found: LabelMap, field_inverse: NDArray[np.float32], target: Grid, progress: Progress
) -> None:
    """Warn of structures that the target does not show, wholly or in part."""
    count = max(atlas.table) + 1
    total, present = (np.bincount(labels.array.ravel(), minlength=count) for labels in (atlas, found))
    beyond = np.zeros(count, np.int64)
    limits = np.asarray(target.shape).reshape(3, 1, 1, 1) - 0.5
    for part, lattice in slabs(atlas.grid):
        positions = displaced_positions(field_inverse[part], lattice, target)[0].numpy()
        outside = ((positions < -0.5) | (positions > limits)).any(0)
        beyond += np.bincount(atlas.array[part][outside], minlength=count)
    lost = [label.name for value, label in atlas.table.items() if total[value] and not present[value]]
    cut = [
        label.name
        for value, label in atlas.table.items()
        if present[value] and beyond[value] > _CUT_SHARE * total[value]
    ]
    if lost:
        progress.caution("labels-lost", f"No voxel of the target got: {', '.join(lost)}.")
    if cut:
        progress.caution("labels-cut", f"The target seems to show only a part of: {', '.join(cut)}.")


def _grade(value: float, good: float, look: float) -> Status:
    return Status.GOOD if value <= good else Status.LOOK if value <= look else Status.BAD
