"""Step 5: how good the result is, in numbers with limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..fields import from_lps, jacobian_determinant, sample
from ..job import LabelVolume, Measure, Status
from ..metrics import statistics
from ..volumes import Grid, LabelMap
from .prepare import Inputs
from .progress import Progress
from .propagate import Propagated, atlas_positions
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
    body = _body(inputs)
    jacobian = jacobian_determinant(from_lps(field, grid))[0, 0].numpy()
    folds = statistics(jacobian, body)
    progress.done(0.5)
    errors = inverse_errors(field, grid, field_inverse, inputs.atlas.grid, body)
    mean_error, high_error = float(errors.mean()), float(np.percentile(errors, 99.9))
    measures = (
        Measure("folding_percent", "folding", folds.folding_percent, "%", _grade(folds.folding_percent, 0.0, 0.1)),
        Measure("jacobian_min", "smallest Jacobian", folds.minimum, "", _grade(-folds.minimum, -0.05, 0.0)),
        Measure("jacobian_max", "largest Jacobian", folds.maximum, ""),
        Measure("sdlogj", "SDlogJ", folds.sd_log, "", _grade(folds.sd_log, 0.6, 1.0)),
        Measure("inverse_error_mean", "inverse error, mean", mean_error, "mm", _grade(mean_error, 0.1, 0.5)),
        Measure("inverse_error_p999", "inverse error, 99.9 %", high_error, "mm", _grade(high_error, 1.0, 3.0)),
        Measure("similarity_before", f"{transform.similarity.value} before", transform.before),
        Measure(
            "similarity_after",
            f"{transform.similarity.value} after",
            transform.after,
            "",
            Status.GOOD if transform.after > transform.before else Status.BAD,
        ),
    )
    if folds.folding_percent > 0:
        progress.caution("folding", f"The field folds in {folds.folding_percent:.2g} % of the body's voxels.")
    _look_for_lost_labels(inputs.labels, propagated.labels, field_inverse, grid, progress)
    return Checked(jacobian, measures, label_volumes(propagated.labels))


def inverse_errors(
    field: NDArray[np.float32], grid: Grid, back: NDArray[np.float32], atlas: Grid, mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """`|u(x) + w(x + u(x))|` in mm at the voxels of `mask` whose image lies inside the atlas's grid, shape (n,)."""
    positions = atlas_positions(field, grid, atlas)[0][:, torch.from_numpy(mask)]
    limits = torch.tensor(atlas.shape)[:, None] - 1
    known = ((positions >= 0) & (positions <= limits)).all(0)
    if not known.any():
        return np.zeros(1, np.float32)
    w = sample(torch.from_numpy(back).permute(3, 0, 1, 2)[None], positions[:, known][None, :, :, None, None])
    u = torch.from_numpy(field[mask])[known].T
    errors: NDArray[np.float32] = (u + w[0, :, :, 0, 0]).norm(dim=0).numpy()
    return errors


def label_volumes(labels: LabelMap) -> tuple[LabelVolume, ...]:
    """Voxels and ml of every label the table names."""
    counts = np.bincount(labels.array.ravel(), minlength=max(labels.table, default=0) + 1)
    return tuple(
        LabelVolume(value, label.name, int(counts[value]), float(counts[value]) * labels.grid.voxel_ml)
        for value, label in labels.table.items()
    )


def _body(inputs: Inputs) -> NDArray[np.bool_]:
    """The target's foreground in its own axis order."""
    scan = inputs.target_scan
    index = inputs.target.grid.to_index(scan.grid.to_lps(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])))
    axes = [int(np.argmax(np.abs(index[a + 1] - index[0]))) for a in range(3)]
    array = scan.foreground[0, 0].numpy() > 0.5
    flips = [bool((index[a + 1] - index[0])[axes[a]] < 0) for a in range(3)]
    array = array[tuple(slice(None, None, -1 if flips[2 - d] else 1) for d in range(3))]
    order = [0, 0, 0]
    for new, old in enumerate(axes):
        order[2 - old] = 2 - new
    found: NDArray[np.bool_] = np.ascontiguousarray(array.transpose(order))
    return found


def _look_for_lost_labels(
    atlas: LabelMap, found: LabelMap, field_inverse: NDArray[np.float32], target: Grid, progress: Progress
) -> None:
    """Warn of structures that the target does not show, wholly or in part."""
    positions = atlas_positions(field_inverse, atlas.grid, target)[0].numpy()
    limits = np.asarray(target.shape).reshape(3, 1, 1, 1) - 0.5
    outside = ((positions < -0.5) | (positions > limits)).any(0)
    total = np.bincount(atlas.array.ravel())
    beyond = np.bincount(atlas.array[outside].ravel(), minlength=len(total))
    present = np.bincount(found.array.ravel(), minlength=len(total))
    lost, cut = [], []
    for value, label in atlas.table.items():
        if value < len(total) and total[value]:
            if not present[value]:
                lost.append(label.name)
            elif beyond[value] > _CUT_SHARE * total[value]:
                cut.append(label.name)
    if lost:
        progress.caution("labels-lost", f"No voxel of the target got: {', '.join(lost)}.")
    if cut:
        progress.caution("labels-cut", f"The target seems to show only a part of: {', '.join(cut)}.")


def _grade(value: float, good: float, look: float) -> Status:
    return Status.GOOD if value <= good else Status.LOOK if value <= look else Status.BAD
