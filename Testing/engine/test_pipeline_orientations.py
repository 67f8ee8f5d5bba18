"""The same pair with its axes ordered, flipped and tilted otherwise gives the same answer on its own grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from JointRegSegLib.job.result import FIELD, FIELD_INVERSE, JACOBIAN, LABELS, WARPED_ATLAS
from JointRegSegLib.phantom import PhantomFiles, PhantomPair, make_pair
from JointRegSegLib.volumes import (
    Grid,
    LabelMap,
    Volume,
    read_field,
    read_label_map,
    read_volume,
    reorient,
    resample_labels_to,
    resample_volume_to,
    write_label_map,
    write_volume,
)
from Testing.engine.orientations import ORIENTATIONS
from Testing.engine.pipeline_cases import Told, mean_dice, request_for, run_quietly

Turn = tuple[tuple[int, ...], tuple[bool, ...]]
AS_IS: Turn = ((0, 1, 2), (False, False, False))


@dataclass(frozen=True)
class Upright:
    """The phantom on grids whose numbers floats hold exactly, along the axes of space, and its run as it is."""

    pair: PhantomPair
    told: Told


@pytest.fixture(scope="module")
def upright(tmp_path_factory: pytest.TempPathFactory) -> Upright:
    pair = make_pair(size=24)
    atlas, target = _upright(pair.atlas), _upright(pair.target)
    labels = LabelMap(pair.atlas_labels.array, atlas.grid, pair.atlas_labels.table)
    pair = PhantomPair(atlas, labels, target, pair.target_labels, pair.truth)
    return Upright(pair, _run(pair, AS_IS, AS_IS, tmp_path_factory.mktemp("upright")))


def _upright(volume: Volume) -> Volume:
    """The voxels on a grid along the axes of space whose spacing and origin are quarters of mm."""
    grid = volume.grid
    spacing, origin = ((np.rint(np.multiply(4, values)) / 4).tolist() for values in (grid.spacing, grid.origin))
    direction = (np.rint(grid.direction) + 0.0).tolist()
    return Volume(volume.array, Grid(grid.size, tuple(spacing), tuple(origin), tuple(direction)))


def _run(pair: PhantomPair, target: Turn, atlas: Turn, folder: Path) -> Told:
    """Run with both scans in other axis orders, as .nrrd, which keeps every digit of a grid."""
    scans = {"atlas": reorient(pair.atlas, *atlas), "target": reorient(pair.target, *target)}
    for name, scan in scans.items():
        write_volume(folder / f"{name}.nrrd", scan.array, scan.grid)
    write_label_map(folder / "labels.nrrd", reorient(pair.atlas_labels, *atlas))
    files = PhantomFiles(
        folder / "atlas.nrrd", folder / "labels.nrrd", folder / "none", folder / "target.nrrd", folder / "none"
    )
    return run_quietly(request_for(files, folder / "out", table=None))


def _check_same(found: Told, expected: Told, target: Turn, atlas: Turn) -> None:
    for name in (WARPED_ATLAS, JACOBIAN, LABELS):
        ours, theirs = read_volume(found.result.path(name)), read_volume(expected.result.path(name))
        turned = reorient(theirs, *target)
        assert ours.grid.same_as(turned.grid, 1e-5)
        assert np.array_equal(ours.array, turned.array), name
    for name, turn in ((FIELD, target), (FIELD_INVERSE, atlas)):
        vectors, grid = read_field(found.result.path(name))
        whole, lattice = read_field(expected.result.path(name))
        for part in range(3):
            turned = reorient(Volume(whole[..., part], lattice), *turn)
            assert turned.grid.same_as(grid, 1e-5)
            assert np.array_equal(vectors[..., part], turned.array), name
    assert found.result.quality.measures == expected.result.quality.measures


def _name(turn: Turn) -> str:
    return "".join(f"{'-' if flip else ''}{'ijk'[axis]}" for axis, flip in zip(*turn, strict=True))


# 7 shares no factor with 48, so that the atlas meets every order as well.
BOTH = [(turn, ORIENTATIONS[(7 * number + 5) % 48]) for number, turn in enumerate(ORIENTATIONS)]


@pytest.mark.parametrize(("target", "atlas"), BOTH, ids=[f"{_name(a)} {_name(b)}" for a, b in BOTH])
def test_every_axis_order_of_both_scans_gives_the_same_bits(
    upright: Upright, tmp_path: Path, target: Turn, atlas: Turn
) -> None:
    _check_same(_run(upright.pair, target, atlas, tmp_path), upright.told, target, atlas)


def test_what_is_the_same_is_also_right(upright: Upright) -> None:
    labels = read_label_map(upright.told.result.path(LABELS))
    assert mean_dice(labels.array, upright.pair.target_labels.array) > 0.5


@pytest.fixture(scope="module")
def fine() -> PhantomPair:
    """Fine enough to be resampled onto coarser voxels along any axes without losing more along some than others."""
    return make_pair(size=72)


@pytest.fixture(scope="module")
def straight(
    fine: PhantomPair, files: PhantomFiles, tmp_path_factory: pytest.TempPathFactory
) -> tuple[float, LabelMap]:
    """Score and labels with the target on a grid along the axes of space."""
    return _on_axes(fine, files, (0.0, 0.0, 0.0), tmp_path_factory.mktemp("straight"))


@pytest.mark.parametrize("degrees", [(25, -15, 35), (-50, 20, 10), (100, 30, -60)])
def test_oblique_axes_give_the_same_answer(
    fine: PhantomPair,
    files: PhantomFiles,
    straight: tuple[float, LabelMap],
    tmp_path: Path,
    degrees: tuple[float, float, float],
) -> None:
    """As good against the truth; and alike, as far as labels sampled on other voxels of 4 mm can be."""
    score, labels = _on_axes(fine, files, degrees, tmp_path)
    assert score > straight[0] - 0.03
    assert mean_dice(resample_labels_to(labels, straight[1].grid).array, straight[1].array) > 0.7


def _on_axes(
    fine: PhantomPair, files: PhantomFiles, degrees: tuple[float, ...], folder: Path
) -> tuple[float, LabelMap]:
    """Mean Dice and labels of a run whose target has its axes turned by Euler angles."""
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    spacing, size = np.array([3.8, 3.6, 4.2]), np.array([52, 54, 48])
    start = fine.target.grid.centre - turn @ (spacing * (size - 1) / 2)
    grid = Grid(tuple(map(int, size)), tuple(spacing), tuple(start), tuple(turn.ravel()))
    target = resample_volume_to(fine.target, grid)
    write_volume(folder / "target.nii.gz", target.array, grid)
    told = run_quietly(request_for(files, folder / "out", target=folder / "target.nii.gz"))
    labels = read_label_map(told.result.path(LABELS))
    return mean_dice(labels.array, resample_labels_to(fine.target_labels, grid).array), labels


@pytest.mark.parametrize("degrees", [(25, -15, 35), (-50, 20, 10)])
def test_a_target_turned_and_moved_in_space_gets_the_same_labels(
    told: Told, files: PhantomFiles, tmp_path: Path, degrees: tuple[float, float, float]
) -> None:
    target = read_volume(files.target)
    turn = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    origin = turn @ np.asarray(target.grid.origin) + (30.0, -40.0, 10.0)
    direction = turn @ np.reshape(target.grid.direction, (3, 3))
    grid = replace(target.grid, origin=tuple(origin), direction=tuple(direction.ravel()))
    write_volume(tmp_path / "turned.nii.gz", target.array, grid)
    found = run_quietly(request_for(files, tmp_path / "out", target=tmp_path / "turned.nii.gz"))
    labels, expected = (read_label_map(run.result.path(LABELS)).array for run in (found, told))
    truth = read_label_map(files.target_labels).array
    assert mean_dice(labels, expected) > 0.85
    assert mean_dice(labels, truth) > mean_dice(expected, truth) - 0.03
