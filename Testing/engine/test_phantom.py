"""The phantom pair: repeatable, complete, truly related by its stated mapping, and wrong where it is not aligned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from JointRegSegLib.phantom import PhantomPair, make_pair, structures, write_pair
from JointRegSegLib.volumes import LabelMap, present_values, read_label_map, read_volume

SIZE = 64


@pytest.fixture(scope="module")
def pair() -> PhantomPair:
    return make_pair(seed=0, size=SIZE)


def _target_points(pair: PhantomPair) -> NDArray[np.float64]:
    k, j, i = np.meshgrid(*(np.arange(n) for n in pair.target.grid.shape), indexing="ij")
    return pair.target.grid.to_lps(np.stack([i, j, k], axis=-1))


def _atlas_labels_at(labels: LabelMap, points: NDArray[np.float64]) -> NDArray[np.int64]:
    k, j, i = np.moveaxis(labels.grid.to_index(points)[..., ::-1], -1, 0)
    return ndimage.map_coordinates(labels.array.astype(np.int64), [k, j, i], order=0, mode="constant")


def _mean_dice(one: NDArray[np.int64], other: NDArray[np.uint16]) -> float:
    values = present_values(other)
    overlaps = [2.0 * np.sum((one == v) & (other == v)) / (np.sum(one == v) + np.sum(other == v)) for v in values]
    return float(np.mean(overlaps))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(pair: PhantomPair) -> None:
    again, other = make_pair(seed=0, size=SIZE), make_pair(seed=1, size=SIZE)
    for name in ("atlas", "atlas_labels", "target", "target_labels"):
        assert getattr(pair, name).array.tobytes() == getattr(again, name).array.tobytes()
        assert getattr(pair, name).grid == getattr(again, name).grid
    assert pair.target.array.tobytes() != other.target.array.tobytes()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_structure_is_in_both_individuals(seed: int) -> None:
    made = make_pair(seed=seed, size=SIZE)
    assert present_values(made.atlas_labels.array) == list(structures())
    assert present_values(made.target_labels.array) == list(structures())
    assert len(structures()) >= 8


def test_the_true_mapping_carries_the_atlas_labels_to_the_target(pair: PhantomPair) -> None:
    carried = _atlas_labels_at(pair.atlas_labels, pair.truth(_target_points(pair)))
    assert _mean_dice(carried, pair.target_labels.array) > 0.88


def test_neither_position_nor_an_affine_is_enough(pair: PhantomPair) -> None:
    points = _target_points(pair)
    inside = pair.target_labels.array > 0
    design = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)
    affine, *_ = np.linalg.lstsq(design[inside], pair.truth(points[inside]), rcond=None)
    as_placed = _mean_dice(_atlas_labels_at(pair.atlas_labels, points), pair.target_labels.array)
    best_affine = _mean_dice(_atlas_labels_at(pair.atlas_labels, design @ affine), pair.target_labels.array)
    assert as_placed < 0.35
    assert as_placed < best_affine < 0.75


@pytest.mark.parametrize("seed", range(4))
def test_the_true_mapping_never_folds(seed: int) -> None:
    truth = make_pair(seed=seed, size=24).truth
    points = np.stack(np.meshgrid(*[np.arange(-90.0, 91.0, 6.0)] * 3, indexing="ij"), axis=-1)
    step = 1e-3
    columns = [(truth(points + step * axis) - truth(points - step * axis)) / (2 * step) for axis in np.eye(3)]
    assert np.linalg.det(np.stack(columns, axis=-1)).min() > 0.05


def test_the_target_lies_on_another_oblique_grid(pair: PhantomPair) -> None:
    assert pair.target.grid.size != pair.atlas.grid.size
    assert len(set(np.round(pair.target.grid.spacing, 3))) == 3
    assert np.abs(np.reshape(pair.target.grid.direction, (3, 3))).max() < 0.9999


def test_written_files_hold_the_pair_names_and_codes(tmp_path: Path) -> None:
    files = write_pair(tmp_path / "made", seed=3, size=32)
    made = make_pair(seed=3, size=32)
    assert np.array_equal(read_volume(files.atlas).array, made.atlas.array)
    assert read_volume(files.target).grid.same_as(made.target.grid)
    labels = read_label_map(files.atlas_labels, files.table)
    assert np.array_equal(labels.array, made.atlas_labels.array)
    assert {label.name for label in labels.table.values()} == {label.name for label in structures().values()}
    left = labels.table[5]
    assert left.color == structures()[5].color
    assert left.terminology["Type_CodeValue"] == "11000004"
    assert left.terminology["TypeModifier_CodeMeaning"] == "Left"
    assert np.array_equal(read_label_map(files.target_labels, None).array, made.target_labels.array)
