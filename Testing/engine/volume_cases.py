"""Small volumes on grids that nothing is symmetric about, for the tests of the volumes room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import Grid, Label, LabelMap, LabelTable, Volume

OBLIQUE = tuple(sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.2, -0.15, 0.3).GetMatrix())
GRID = Grid((7, 6, 5), (0.8, 1.1, 2.5), (12.5, -31.0, 44.25), OBLIQUE)
TABLE = LabelTable(
    [
        Label(7, "left kidney", (230, 100, 20)),
        Label(1, "liver, right lobe", (221, 130, 101), {"Type_CodingScheme": "SCT", "Type_CodeValue": "10200004"}),
        Label(300, "Nebenniere größer", (0, 151, 255)),
    ]
)


def scan(grid: Grid = GRID) -> Volume:
    """Random floats."""
    return Volume(np.random.default_rng(1).normal(size=grid.shape).astype(np.float32), grid)


def labels(grid: Grid = GRID) -> LabelMap:
    """Random voxels of TABLE's values and background."""
    values = np.random.default_rng(2).choice([0, *TABLE], size=grid.shape)
    return LabelMap(values.astype(np.uint16), grid, TABLE)


def save(path: Path, array: np.ndarray, grid: Grid | None = GRID, vectors: bool = False, **header: str) -> Path:
    """Write an array with SimpleITK alone, so that the code under test meets files it did not make."""
    image = sitk.GetImageFromArray(array, isVector=vectors)
    if grid is not None:
        grid.place(image)
    for key, value in header.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))
    return path


def check_error(error: JobError, code: Code, *words: object) -> None:
    """The error has this code, advice, and these words in its sentence."""
    assert error.code is code
    assert error.advice
    for word in words:
        assert str(word) in error.message
