"""Scans for the registration's tests: the phantom's two individuals, also with moved headers, and real ones."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from JointRegSegLib.fields import affine_positions, warp
from JointRegSegLib.metrics import dice
from JointRegSegLib.phantom import PhantomPair, make_pair
from JointRegSegLib.registration import Alignment, Pair, Scan, align, pair_on, working_grid
from JointRegSegLib.volumes import (
    Grid,
    Volume,
    canonical,
    find_foreground,
    read_volume,
    resample_labels_to,
    scaled_intensities,
)
from Testing.engine.tensor_cases import smooth_field, texture

Matrix = NDArray[np.float64]

_DATA = os.environ.get("JRS_DATA", "")
REAL_FILES = sorted(Path(_DATA, "oasis").glob("*_t1.nii.gz"))[:2] if _DATA else []
"""Two T1 scans, where the environment's JRS_DATA names the folder of the real data."""


def tensor(array: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None, None]


def scan_of(volume: Volume) -> Scan:
    """A volume as a run prepares it."""
    volume = canonical(volume)
    body = find_foreground(volume)
    return Scan(tensor(scaled_intensities(volume, body)), tensor(body.mask), None, volume.grid, body.cut)


@cache
def phantom() -> PhantomPair:
    return make_pair(seed=0, size=64)


@cache
def phantom_scans() -> tuple[Scan, Scan]:
    """Target and atlas."""
    return scan_of(phantom().target), scan_of(phantom().atlas)


@cache
def phantom_affine() -> Alignment:
    return align(*phantom_scans())


@cache
def real_scans() -> tuple[Scan, Scan]:
    """Target and atlas."""
    atlas, target = (scan_of(read_volume(file)) for file in REAL_FILES)
    return target, atlas


def turn(axis: tuple[float, float, float], degrees: float, about: object) -> Matrix:
    """A rotation about a point, 4x4, LPS mm."""
    matrix, centre = np.eye(4), np.asarray(about, float)
    direction = np.asarray(axis, float)
    matrix[:3, :3] = Rotation.from_rotvec(np.deg2rad(degrees) * direction / np.linalg.norm(direction)).as_matrix()
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix


def shift(vector: tuple[float, float, float]) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, 3] = vector
    return matrix


def moved(scan: Scan, motion: Matrix) -> Scan:
    """The scan with a header that places it elsewhere: what was at x is at motion(x)."""
    grid = scan.grid
    direction = motion[:3, :3] @ np.reshape(grid.direction, (3, 3))
    origin = motion[:3, :3] @ grid.origin + motion[:3, 3]
    place = Grid(grid.size, grid.spacing, tuple(map(float, origin)), tuple(map(float, direction.ravel())))
    return replace(scan, grid=place)


def body_points(scan: Scan, step: int = 97) -> NDArray[np.float64]:
    """Some points of the body, LPS mm, (n, 3)."""
    return scan.grid.to_lps(np.argwhere(scan.foreground[0, 0].numpy() > 0.5)[::step, ::-1])


def through(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def mean_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(one - other, axis=-1).mean())


@dataclass(frozen=True)
class Labelled:
    """A pair on its working grid with both label maps there, the atlas's behind the same affine as the image."""

    pair: Pair
    fixed: NDArray[np.int64]
    moving: Tensor

    def overlap(self, field: Tensor) -> float:
        """Mean Dice of the target's labels and the atlas's behind a field."""
        found = warp(self.moving, field, "nearest")[0, 0].numpy().astype(np.int64)
        return float(np.mean(list(dice(found, self.fixed).values())))


@cache
def labelled_phantom() -> Labelled:
    """The phantom after the affine that fits its true mapping best."""
    made, (target, atlas) = phantom(), phantom_scans()
    points = body_points(target, 13)
    design = np.concatenate([points, np.ones((len(points), 1))], 1)
    affine = np.eye(4)
    affine[:3] = np.linalg.lstsq(design, made.truth(points), rcond=None)[0].T
    grid = working_grid(target, 1e6)
    pair = pair_on(grid, target, atlas, affine)
    fixed = resample_labels_to(made.target_labels, grid).array.astype(np.int64)
    labels = canonical(made.atlas_labels)
    positions = affine_positions(grid, labels.grid, affine, pair.fixed)
    rounded = positions.round().long()[0]
    inside = torch.ones(grid.shape, dtype=torch.bool)
    for axis, n in enumerate(labels.grid.shape):
        inside &= (rounded[axis] >= 0) & (rounded[axis] < n)
        rounded[axis] = rounded[axis].clamp(0, n - 1)
    moving = torch.from_numpy(labels.array.astype(np.float32))[tuple(rounded)] * inside
    return Labelled(pair, fixed, moving[None, None])


@cache
def known_pair(shape: tuple[int, int, int] = (48, 44, 52), largest: float = 4.0) -> tuple[Pair, Tensor]:
    """A textured image, the same behind a known smooth displacement, and that displacement in voxels."""
    moving = texture(shape, 1.6, seed=8, dtype=torch.float32)
    truth = smooth_field(shape, largest, 7.0, seed=9, dtype=torch.float32)
    return Pair(warp(moving, truth), moving, None, None, Grid((shape[2], shape[1], shape[0]))), truth
