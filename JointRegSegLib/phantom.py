"""A made-up head in two individuals: a labelled atlas, a target on another grid, and the true mapping between them.

The anatomy is a set of smooth implicit shapes in its own millimetres (LPS, origin in the middle of the head). Each
individual is that anatomy behind an affine map and a one-to-one smooth deformation, both known in closed form, so the
error of a registration can be measured to the micrometre. Everything follows from one seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .volumes import Grid, Label, LabelMap, LabelTable, Volume, write_label_map, write_label_table, write_volume

Points = NDArray[np.floating[Any]]
Samples = NDArray[np.floating[Any]]

FIELD_OF_VIEW_MM = (144.0, 168.0, 144.0)
ATLAS_SPACING_MM = (1.5, 1.5, 1.5)
TARGET_SPACING_MM = (1.6, 1.5, 1.8)
USUAL_SIZE = 96

_LEFT, _RIGHT = ("7771000", "Left"), ("24028007", "Right")
_CORTEX, _WHITE = ("40146001", "Cerebral cortex"), ("68523003", "Cerebral white matter")
_VENTRICLE, _CAUDATE, _PUTAMEN = (
    ("66720007", "Lateral ventricle"),
    ("11000004", "Caudate nucleus"),
    ("89278009", "Putamen"),
)
_THALAMUS, _HIPPOCAMPUS = ("42695009", "Thalamus"), ("5366008", "Hippocampus")
_CEREBELLUM, _BRAINSTEM = ("113305005", "Cerebellum"), ("15926001", "Brainstem")

# Value, name, RGB, SNOMED CT type, SNOMED CT laterality.
_STRUCTURES = (
    (1, "cerebral cortex", (205, 140, 120), _CORTEX, None),
    (2, "cerebral white matter", (240, 235, 215), _WHITE, None),
    (3, "lateral ventricle left", (60, 120, 230), _VENTRICLE, _LEFT),
    (4, "lateral ventricle right", (90, 170, 250), _VENTRICLE, _RIGHT),
    (5, "caudate left", (50, 190, 190), _CAUDATE, _LEFT),
    (6, "caudate right", (20, 140, 150), _CAUDATE, _RIGHT),
    (7, "putamen left", (235, 80, 160), _PUTAMEN, _LEFT),
    (8, "putamen right", (175, 40, 120), _PUTAMEN, _RIGHT),
    (9, "thalamus left", (30, 150, 60), _THALAMUS, _LEFT),
    (10, "thalamus right", (110, 200, 80), _THALAMUS, _RIGHT),
    (11, "hippocampus left", (250, 210, 40), _HIPPOCAMPUS, _LEFT),
    (12, "hippocampus right", (220, 160, 20), _HIPPOCAMPUS, _RIGHT),
    (13, "cerebellum", (225, 120, 50), _CEREBELLUM, None),
    (14, "brainstem", (140, 110, 200), _BRAINSTEM, None),
)


@dataclass(frozen=True)
class Individual:
    """Where the shared anatomy lies in one individual's scan.

    Attributes:
        matrix: 3x3, from mm about `centre` to the anatomy's mm, before the deformation.
        centre: LPS mm of the head's middle, shape (3,).
        waves: deformation layers applied one after the other; each a (wave vectors, amplitudes, phases) triple of
            shapes (n, 3) in 1/mm, (n, 3) in mm and (n,). Each layer's Lipschitz constant is below 1: none folds.
        dilation: how much larger the ventricles' surroundings appear, 0 for not at all.
    """

    matrix: Points
    centre: Points
    waves: tuple[tuple[Points, Points, Points], ...] = ()
    dilation: float = 0.0

    def anatomy(self, points: Points) -> Points:
        """The anatomy's mm of points (..., 3) in the scan's LPS mm."""
        found = (np.asarray(points, float) - self.centre) @ self.matrix.T
        for vectors, amplitudes, phases in self.waves:
            found = found + _waves(found, vectors, phases) @ amplitudes
        away = found - (0.0, 0.0, 16.0)
        near = np.exp(-np.sum(away**2, axis=-1, keepdims=True) / (2 * 18.0**2))
        return found - self.dilation * near * away

    def locate(self, anatomy: Points, rounds: int = 60) -> Points:
        """The scan's LPS mm of points (..., 3) in the anatomy's mm, by fixed-point iteration."""
        inverse = np.linalg.inv(self.matrix)
        points = anatomy @ inverse.T + self.centre
        for _ in range(rounds):
            points = points + (anatomy - self.anatomy(points)) @ inverse.T
        return points


@dataclass(frozen=True)
class PhantomPair:
    """Two individuals of the phantom.

    `truth` maps target points (..., 3) in LPS mm to the atlas points in LPS mm that show the same anatomy.
    """

    atlas: Volume
    atlas_labels: LabelMap
    target: Volume
    target_labels: LabelMap
    truth: Callable[[Points], Points]


@dataclass(frozen=True)
class PhantomFiles:
    """The phantom pair on disk."""

    atlas: Path
    atlas_labels: Path
    table: Path
    target: Path
    target_labels: Path


def make_pair(seed: int = 0, size: int = USUAL_SIZE) -> PhantomPair:
    """Make the pair; the same seed and size give the same voxels.

    Args:
        seed: of the two individuals, their noise and their bias fields. The anatomy's folds do not depend on it.
        size: voxels of the atlas from left to right; the field of view stays, the spacing follows.
    """
    random = np.random.default_rng(seed)
    plain = Individual(np.eye(3), np.array([2.0, -3.0, 4.0]))
    other = _individual(random, centre=np.array([9.0, -11.0, 17.0]))
    atlas_grid = _grid(ATLAS_SPACING_MM, size, plain.centre, np.diag([-1.0, -1.0, 1.0]), margin=0.0)
    tilt = Rotation.from_euler("xyz", random.uniform(3, 7, 3) * random.choice([-1, 1], 3), degrees=True).as_matrix()
    target_grid = _grid(TARGET_SPACING_MM, size, other.centre, tilt, margin=10.0)
    table = structures()
    atlas, atlas_labels = _scan(plain, atlas_grid, table, random, gain=1.0, noise=11.0)
    target, target_labels = _scan(other, target_grid, table, random, gain=0.82, noise=14.0)
    return PhantomPair(
        atlas, atlas_labels, target, target_labels, truth=lambda points: plain.locate(other.anatomy(points), rounds=1)
    )


def write_pair(folder: Path, seed: int = 0, size: int = USUAL_SIZE) -> PhantomFiles:
    """Write the pair and the label table into `folder`, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    pair = make_pair(seed, size)
    files = PhantomFiles(
        folder / "atlas.nii.gz",
        folder / "atlas_labels.nii.gz",
        folder / "atlas_labels.csv",
        folder / "target.nii.gz",
        folder / "target_labels.nii.gz",
    )
    write_volume(files.atlas, pair.atlas.array, pair.atlas.grid)
    write_label_map(files.atlas_labels, pair.atlas_labels)
    write_volume(files.target, pair.target.array, pair.target.grid)
    write_label_map(files.target_labels, pair.target_labels)
    write_label_table(files.table, pair.atlas_labels.table)
    return files


def structures() -> LabelTable:
    """Names, colours and SNOMED CT codes of the labelled structures."""
    return LabelTable(Label(value, name, color, _terms(kind, side)) for value, name, color, kind, side in _STRUCTURES)


def _terms(kind: tuple[str, str], side: tuple[str, str] | None) -> dict[str, str]:
    terms = {"Category": ("123037004", "Anatomical Structure"), "Type": kind, "TypeModifier": side or ("", "")}
    columns = {}
    for part, (code, meaning) in terms.items():
        columns[f"{part}_CodingScheme"] = "SCT" if code else ""
        columns[f"{part}_CodeValue"] = code
        columns[f"{part}_CodeMeaning"] = meaning
    return columns


def _grid(spacing: tuple[float, ...], size: int, centre: Points, direction: Points, margin: float) -> Grid:
    scaled = np.asarray(spacing) * USUAL_SIZE / size
    i, j, k = (int(n) for n in np.ceil((np.asarray(FIELD_OF_VIEW_MM) + margin) / scaled))
    origin = centre - direction @ (scaled * (np.array([i, j, k]) - 1) / 2)
    x, y, z = (float(value) for value in origin)
    a, b, c = (float(value) for value in scaled)
    return Grid((i, j, k), (a, b, c), (x, y, z), tuple(float(value) for value in direction.ravel()))


def _individual(random: np.random.Generator, centre: Points) -> Individual:
    turn = Rotation.from_euler("xyz", random.uniform(3, 8, 3) * random.choice([-1, 1], 3), degrees=True).as_matrix()
    matrix = turn @ np.diag(random.uniform(0.95, 1.06, 3))
    layers = [_layer(random, 4, wavelength, steepest) for wavelength, steepest in ((120, 0.45), (85, 0.45), (45, 0.35))]
    return Individual(matrix, centre, tuple(layers), dilation=random.uniform(0.15, 0.3))


def _layer(
    random: np.random.Generator, count: int, wavelength: float, steepest: float
) -> tuple[Points, Points, Points]:
    """Waves whose Lipschitz constants add up to `steepest`."""
    vectors = _directions(random, count) * 2 * np.pi / (wavelength * random.uniform(0.85, 1.15, (count, 1)))
    amplitudes = _directions(random, count)
    amplitudes *= steepest / np.sum(np.linalg.norm(vectors, axis=1))
    return vectors, amplitudes, random.uniform(0, 2 * np.pi, count)


def _directions(random: np.random.Generator, count: int) -> Points:
    vectors = random.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _waves(points: Points, vectors: Points, phases: Points) -> Points:
    """sin(v . x + phase) of each wave, shape (..., n)."""
    return np.sin(points @ vectors.T + phases)


def _noise(points: Points, wavelength: float, seed: int, count: int = 20) -> Samples:
    """A smooth random texture of the anatomy itself, mean 0 and variance 1, shape points.shape[:-1]."""
    random = np.random.default_rng(seed)
    vectors = _directions(random, count) * 2 * np.pi / (wavelength * random.uniform(0.8, 1.25, (count, 1)))
    phases = random.uniform(0, 2 * np.pi, count)
    total = np.zeros(points.shape[:-1], points.dtype)
    for vector, phase in zip(vectors.astype(points.dtype), phases.astype(points.dtype), strict=True):
        total += np.sin(points @ vector + phase)
    return total * np.sqrt(2.0 / count).astype(points.dtype)


def _scan(
    who: Individual, grid: Grid, table: LabelTable, random: np.random.Generator, gain: float, noise: float
) -> tuple[Volume, LabelMap]:
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    world = grid.to_lps(np.stack([i, j, k], axis=-1))
    clean, labels = _paint(who.anatomy(world).astype(np.float32), blur=0.4 * float(np.mean(grid.spacing)))
    across = (world - who.centre) / 80.0
    slopes = random.uniform(0.06, 0.12, 3) * random.choice([-1, 1], 3)
    bias = np.exp(across @ slopes - 0.12 * np.sum((across - random.uniform(-0.3, 0.3, 3)) ** 2, axis=-1))
    real, imaginary = random.normal(scale=noise, size=(2, *grid.shape))
    magnitude = np.hypot(gain * clean * bias + real, imaginary)
    return Volume(magnitude.astype(np.float32), grid), LabelMap(labels, grid, table)


def _paint(p: Points, blur: float) -> tuple[Samples, NDArray[np.uint16]]:
    """Intensities and labels at anatomy points; later shapes cover earlier ones, with partial volume `blur` mm wide."""
    image: Samples = np.zeros(p.shape[:-1], np.float32)
    labels: NDArray[np.uint16] = np.zeros(p.shape[:-1], np.uint16)

    def cover(depth: Samples, intensity: Samples | float, label: int = 0) -> None:
        share = 1.0 / (1.0 + np.exp(-np.clip(depth / blur, -30.0, 30.0)))
        np.add(image, share * (intensity - image), out=image)
        labels[share > 0.5] = label

    x, y, z = np.moveaxis(p, -1, 0)
    cover(_ellipsoid(p, (0, 0, 0), (63, 77, 67)), 620.0 + 40.0 * _noise(p, 14.0, 11))
    cover(_ellipsoid(p, (0, 0, 0), (58, 72, 62)), 90.0)
    cover(_ellipsoid(p, (0, 0, 0), (56, 70, 60)), 260.0 + 60.0 * _noise(p, 9.0, 12))
    cover(_ellipsoid(p, (0, 0, 0), (54.5, 68.5, 58.5)), 80.0)
    cover(_ellipsoid(p, (0, 0, 0), (52.5, 66.5, 56.5)), 150.0)

    # The floor of the skull, lower behind, where the cerebellum lies; soft tissue of face and neck below it.
    floor = z + 28.0 + 21.0 / (1.0 + np.exp(-(y - 12.0) / 4.0))
    inside = _ellipsoid(p, (0, 0, 0), (57, 71, 61))
    cover(np.minimum(inside, 3.0 - floor), 90.0)
    cover(np.minimum(inside, -floor), 370.0 + 80.0 * _noise(p, 18.0, 16))

    tissue = 14.0 * _noise(p, 16.0, 13)
    lobes = np.exp(-(((np.abs(x) - 31.0) / 15.0) ** 2) - ((y + 4.0) / 27.0) ** 2)
    base = z + 15.0 + 10.0 * lobes - 4.0 / (1.0 + np.exp(-(y - 14.0) / 5.0))
    hull = np.minimum(_ellipsoid(p, (0, -1, 9), (50, 63, 44.5)), base)
    folds = _noise(p, 25.0, 14)
    outer = np.clip((base - 5.0) / 8.0, 0.0, 1.0)
    parted = np.where(z > -6.0, 1.0, 0.0)
    pial = hull - 12.0 * outer * np.exp(-((folds / 0.16) ** 2)) - 21.0 * parted * np.exp(-((x / 1.3) ** 2))
    white = hull - 3.4 - 14.0 * outer * np.exp(-((folds / 0.75) ** 4)) - 23.0 * parted * np.exp(-((x / 4.6) ** 4))
    cover(pial, 430.0 + tissue, 1)
    cover(white, 640.0 + tissue, 2)

    folia = np.sin(np.hypot(y - 22.0, z + 30.0) * 1.15 + 0.6 * _noise(p, 22.0, 15))
    cover(_ellipsoid(p, (0, 33, -30), (33, 20, 15.5)), 480.0 + 75.0 * folia + tissue, 13)
    cover(_ellipsoid(p, (0, 12 + 0.12 * (z + 28), -28), (9.5, 10, 23)), 590.0 + tissue, 14)
    cover(_ellipsoid(p, (0, 7, 3), (1.9, 12, 7)), 145.0)
    for side, label in ((1, 0), (-1, 1)):
        bent = side * (8.5 + 0.008 * (y + 3.0) ** 2)
        cover(_ellipsoid(p, (side * 26, -4, 4), (5.6, 16, 10.5)), 490.0 + tissue, 7 + label)
        cover(_ellipsoid(p, (side * 9.2, 8, 5), (8, 13.5, 9)), 535.0 + tissue, 9 + label)
        cover(
            _ellipsoid(p, (side * (26 - 0.2 * (y - 8)), 8, -9 + 0.25 * (y - 8)), (5.6, 18, 5.4)),
            405.0 + tissue,
            11 + label,
        )
        cover(_ellipsoid(p, (bent + side * 7.5, -13, 14), (5.2, 16, 7.5)), 455.0 + tissue, 5 + label)
        cover(_ellipsoid(p, (bent, -3, 17.5), (4.8, 27, 6)), 140.0, 3 + label)
    return image, labels


def _ellipsoid(p: Points, centre: tuple[Samples | float, ...], radii: tuple[float, float, float]) -> Samples:
    """About how many mm points lie inside an ellipsoid's surface (negative outside); the centre may vary by point."""
    scaled = [(p[..., axis] - centre[axis]) / radii[axis] for axis in range(3)]
    reach = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
    slope = np.sqrt(sum((part / radius) ** 2 for part, radius in zip(scaled, radii, strict=True)))
    depth = reach * (1.0 - reach) / np.maximum(slope, 1e-6)
    return np.where(reach < 1e-3, min(radii), depth)
