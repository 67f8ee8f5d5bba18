"""What a result folder holds, read and checked before anything touches the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..job import Code, JobError, QualityTable, Request, Result
from ..job import result as files
from ..volumes import Grid, LabelTable, read_affine, read_field, read_label_map
from ..volumes.images import load_image, read_grid, require_finite, require_scalar
from .geometry import Matrix
from .translation import tr as _


@dataclass(frozen=True)
class Grids:
    """Where the scans of a request lie; to be read before the run, which removes the exported scans at its end.

    Attributes:
        target: its grid.
        atlases: their grids; None where only the whole image tells, as in a DICOM folder.
    """

    target: Grid
    atlases: tuple[Grid | None, ...]

    @classmethod
    def of(cls, request: Request) -> Grids:
        """From the headers of the request's files."""
        return cls(read_grid(request.target), tuple(_grid_or_none(atlas.image) for atlas in request.atlases))


@dataclass(frozen=True)
class Contents:
    """A result in memory; the fields stay on disk until they are asked for.

    Attributes:
        grid: the target's, of all arrays here.
        labels: (k, j, i) uint16.
        table: the labels' names, colors and terminology.
        warped_atlas: (k, j, i).
        jacobian: (k, j, i).
        affine: 4x4, target to atlas, LPS mm.
    """

    result: Result
    grid: Grid
    labels: NDArray[Any]
    table: LabelTable
    warped_atlas: NDArray[Any]
    jacobian: NDArray[Any]
    affine: Matrix
    quality: QualityTable
    manifest: dict[str, Any]

    @classmethod
    def read(cls, result: Result, grids: Grids | None = None) -> Contents:
        """Read and check a result; `JobError` RESULT_INVALID says what is wrong with it."""
        result = Result.open(result.folder)
        try:
            return cls._read(result, grids)
        except JobError as problem:
            if problem.code is Code.RESULT_INVALID:
                raise
            raise _invalid(result, problem.message) from problem

    @classmethod
    def _read(cls, result: Result, expected: Grids | None) -> Contents:
        named = read_label_map(result.path(files.SEGMENTATION))
        labels = load_image(result.path(files.LABELS))
        images = {name: _scalar(result.path(name)) for name in (files.WARPED_ATLAS, files.JACOBIAN)}
        grids = {files.LABELS: Grid.of(labels)} | {name: Grid.of(image) for name, image in images.items()}
        grids[files.FIELD] = read_grid(result.path(files.FIELD))
        inverse = read_grid(result.path(files.FIELD_INVERSE))
        for name, grid in grids.items():
            if not grid.same_as(named.grid):
                raise _invalid(
                    result, _("{file} and {other} are on different grids.").format(file=name, other=files.SEGMENTATION)
                )
        if expected is not None and not expected.target.same_as(named.grid):
            raise _invalid(result, _("its images are not on the target's grid."))
        if expected is not None and not any(grid is None or grid.same_as(inverse) for grid in expected.atlases):
            raise _invalid(result, _("{file} is not on the atlas's grid.").format(file=files.FIELD_INVERSE))
        if not np.array_equal(sitk.GetArrayViewFromImage(labels), named.array):
            raise _invalid(
                result, _("{file} and {other} do not say the same.").format(file=files.LABELS, other=files.SEGMENTATION)
            )
        return cls(
            result=result,
            grid=expected.target if expected is not None else named.grid,
            labels=named.array,
            table=named.table,
            warped_atlas=sitk.GetArrayFromImage(images[files.WARPED_ATLAS]),
            jacobian=sitk.GetArrayFromImage(images[files.JACOBIAN]),
            affine=read_affine(result.path(files.AFFINE)),
            quality=result.quality,
            manifest=result.manifest,
        )

    def field(self, name: str) -> tuple[NDArray[np.float32], Grid, Matrix]:
        """One of the two fields: vectors (k, j, i, 3) in LPS mm, their grid, and the affine that belongs to them."""
        try:
            vectors, grid = read_field(self.result.path(name))
        except JobError as problem:
            raise _invalid(self.result, problem.message) from problem
        return vectors, grid, self.affine if name == files.FIELD else np.linalg.inv(self.affine)


def _scalar(path: Path) -> sitk.Image:
    image = load_image(path)
    require_scalar(path, image)
    require_finite(path, sitk.GetArrayViewFromImage(image))
    return image


def _grid_or_none(path: Path) -> Grid | None:
    try:
        return read_grid(path)
    except JobError:  # the run reads more kinds, or says what is wrong
        return None


def _invalid(result: Result, what: str) -> JobError:
    return JobError(
        Code.RESULT_INVALID,
        _("The result in {folder} is not valid: {what}").format(folder=result.folder, what=what),
        _("Run again; if it happens again, the files were changed after the run or the disk is failing."),
    )
