"""A folder of DICOM slices as one image. No sentence here repeats anything that the DICOM headers say of a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..job.errors import Code, JobError
from .grid import Grid

_SLICE_TOLERANCE = 0.25  # of the slice spacing: a missing slice moves some slice by more
_MM_TOLERANCE = 0.5


def read_series(folder: Path) -> sitk.Image:
    """The image of the one DICOM series in `folder`.

    Raises `JobError` FILE_UNREADABLE for no series, several series, and slices that do not stack into a regular
    grid (missing slices, tilted gantry, several time points). `RuntimeError` where a file is damaged.
    """
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if len(series) != 1:
        found = f"{len(series)} DICOM series" if series else "no DICOM series"
        raise JobError(
            Code.FILE_UNREADABLE,
            f"The folder {folder} holds {found}.",
            "Give a folder with the slices of exactly one series, or export the wanted series as .nrrd.",
        )
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    image: sitk.Image = reader.Execute()
    if image.GetDimension() == 3 and len(files) == image.GetSize()[2]:
        _check_positions(folder, files, Grid.of(image))
    return image


def _check_positions(folder: Path, files: tuple[str, ...], grid: Grid) -> None:
    reader = sitk.ImageFileReader()
    origins = []
    for file in files:
        reader.SetFileName(file)
        reader.ReadImageInformation()
        origins.append(reader.GetOrigin())
    expected = grid.to_lps([(0, 0, k) for k in range(len(files))])
    worst = float(np.linalg.norm(np.asarray(origins) - expected, axis=1).max())
    if worst > min(_SLICE_TOLERANCE * grid.spacing[2], _MM_TOLERANCE):
        raise JobError(
            Code.FILE_UNREADABLE,
            f"The {len(files)} slices in {folder} do not form a regular grid: one lies {worst:.2f} mm off.",
            "Look for missing or repeated slices or a tilted gantry; Slicer can load such a series and export .nrrd.",
        )
