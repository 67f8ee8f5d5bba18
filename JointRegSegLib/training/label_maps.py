"""Label maps without their scans, in memory, on one grid: what training on synthetic images sees."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.fields import Matrix, affine_positions, sample
from JointRegSegLib.volumes import Grid, LabelMap, LabelTable, canonical, present_values, read_label_map

from ..job import Code, JobError
from .dataset import DataConfig, Dataset, Report, Sample
from .few_shot import FewShotView
from .frame import Frame
from .seeds import generator
from .structures import Structures
from .synthesis import Synthesis, synthesised, without

_LEAST_VOXELS = 10


def load_label_maps(
    view: FewShotView,
    config: DataConfig,
    how: Synthesis,
    table: LabelTable | None = None,
    report: Report = lambda fraction, message: None,
) -> Dataset:
    """Read the label maps of a view onto one grid; no scan is read, and whoever has no labels is left out.

    Label maps are laid on the first one by the affine map between the middles of their structures, as a run aligns its
    scans before it asks a model. The grid lies around the structures that are not `how.outside`. The image of a sample
    is a synthetic one that stays the same, for validation; training makes others of its labels.

    Args:
        view: what training may see.
        config: the grid and the structures.
        how: what images look like.
        table: names and colours of label values.
        report: told the fraction that is read, and a message.

    Raises `JobError`: what reading a label map raises; DATA_INVALID where one has nothing of the structures.
    """
    subjects = (*view.labelled, *view.validation)
    maps: dict[str, LabelMap] = {}
    for done, subject in enumerate(subjects):
        report(done / len(subjects), f"Reading label map {done + 1} of {len(subjects)}")
        assert subject.label is not None
        maps[subject.id] = canonical(read_label_map(subject.label))
    teaching = [maps[subject.id] for subject in view.labelled or view.validation]
    structures = Structures.of(
        {value for labels in teaching for value in present_values(labels.array)}, config.structures, table
    )
    frame = Frame.of([labels.grid for labels in teaching], "minmax", config.size, config.spacing)
    outside = classes_of(structures, how.outside)
    middles: dict[str, dict[int, NDArray[np.float64]]] = {}
    for subject in subjects:
        middles[subject.id] = _middles(structures.to_classes(maps[subject.id].array), maps[subject.id].grid, outside)
        if not middles[subject.id]:
            raise JobError(
                Code.DATA_INVALID,
                f"The label map {subject.label} shows none of the structures.",
                "Leave it out, or look at the structures asked for.",
            )
    first = view.labelled[0].id if view.labelled else view.validation[0].id
    grid = frame.around(_point(_whole(middles[first]), maps[first].grid))
    samples: dict[str, Sample] = {}
    for subject in subjects:
        name, labels = subject.id, maps.pop(subject.id)
        classes = torch.from_numpy(structures.to_classes(labels.array).astype(np.float32))[None, None]
        positions = affine_positions(grid, labels.grid, affine_between(middles[first], middles[name]), classes)
        moved = sample(classes, positions, "nearest", "zeros").to(torch.int16)
        samples[name] = Sample(name, _seen(name, moved, structures.classes, frame, how, outside), moved)
    known = FewShotView(subjects, len(view.labelled))
    return Dataset(samples, known, structures, frame)


def classes_of(structures: Structures, values: tuple[int, ...]) -> set[int]:
    """The classes all of whose label values are among these."""
    return {index for index, own in enumerate(structures.values, 1) if set(own) <= set(values)}


def affine_between(points: dict[int, NDArray[np.float64]], others: dict[int, NDArray[np.float64]]) -> Matrix:
    """The affine map, 4x4 in mm, that brings the first middles of structures (x, y, z, voxels) nearest to the others.

    Larger structures count more, by the root of their size. A translation where they share too few for an affine map.
    """
    both = sorted(points.keys() & others.keys())
    ours, theirs = (np.array([found[value] for value in both]).reshape(-1, 4) for found in (points, others))
    weights = np.sqrt(np.minimum(ours[:, 3:], theirs[:, 3:]))
    corners = np.hstack([ours[:, :3], np.ones((len(both), 1))])
    matrix = np.eye(4)
    # Relative to the middle, so that the rank does not depend on where the scanner's origin is.
    spread = (ours[:, :3] - ours[:, :3].mean(0)) if both else ours[:, :3]
    if len(both) > 4 and np.linalg.matrix_rank(spread, tol=1.0) == 3:
        matrix[:3] = np.linalg.lstsq(corners * weights, theirs[:, :3] * weights, rcond=None)[0].T
    else:
        matrix[:3, 3] = _whole(others) - _whole(points)
    return matrix


def _middles(classes: NDArray[np.int16], grid: Grid, outside: set[int]) -> dict[int, NDArray[np.float64]]:
    """Class -> LPS mm of its middle and its voxels, (4,); without background, what lies outside, and specks."""
    counts = np.bincount(classes.ravel())
    sums = []
    for axis in range(3):
        places = np.arange(classes.shape[axis], dtype=np.float64).reshape([-1 if a == axis else 1 for a in range(3)])
        sums.append(np.bincount(classes.ravel(), np.broadcast_to(places, classes.shape).ravel()))
    counted = [c for c in np.flatnonzero(counts).tolist() if c and c not in outside and counts[c] >= _LEAST_VOXELS]
    k, j, i = (total / np.maximum(counts, 1) for total in sums)
    return {c: np.append(grid.to_lps((i[c], j[c], k[c])), counts[c]) for c in counted}


def _whole(middles: dict[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """LPS mm of the middle of all structures, (3,)."""
    every = np.array([*middles.values()])
    whole: NDArray[np.float64] = np.average(every[:, :3], axis=0, weights=every[:, 3])
    return whole


def _point(place: NDArray[np.float64], grid: Grid) -> Grid:
    """A grid of the voxel at a place."""
    x, y, z = place.tolist()
    return Grid((1, 1, 1), grid.spacing, (x, y, z), grid.direction)


def _seen(name: str, labels: Tensor, classes: int, frame: Frame, how: Synthesis, outside: set[int]) -> Tensor:
    """The image of a subject that validation looks at: stripped where any image of training is."""
    shown = without(labels.long(), outside) if how.strip > 0 else labels.long()
    return synthesised(shown, classes, frame.spacing, how, generator("validation", name))
