"""Opening image files and DICOM folders, with an error that a user can act on for each way it can fail."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..job.errors import Code, JobError
from .dicom import read_series
from .grid import Grid
from .nifti import count_non_finite, is_nifti, is_whole

_COMPLEX = {sitk.sitkComplexFloat32, sitk.sitkComplexFloat64}


class _Quiet:
    """How many callers are inside `quiet` now, and whether there were warnings before the first."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, True


_QUIET = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep ITK's warnings about odd headers off stderr; what matters is raised.

    There is one switch for all threads: who leaves last puts it back as who came first found it.
    """
    with _QUIET.lock:
        if _QUIET.inside == 0:
            _QUIET.before = sitk.ProcessObject.GetGlobalWarningDisplay()
            sitk.ProcessObject.SetGlobalWarningDisplay(False)
        _QUIET.inside += 1
    try:
        yield
    finally:
        with _QUIET.lock:
            _QUIET.inside -= 1
            if _QUIET.inside == 0:
                sitk.ProcessObject.SetGlobalWarningDisplay(_QUIET.before)


def load_image(path: Path) -> sitk.Image:
    """The 3-D image in a file or in a folder of one DICOM series; its voxels may have several components.

    Raises `JobError`: FILE_MISSING, FILE_UNREADABLE, NOT_3D; NOT_FINITE for NIfTI, where ITK would give 0 for NaN.
    """
    path = Path(path)
    if not path.exists():
        raise JobError(Code.FILE_MISSING, f"There is no {path}.", "Check the path.")
    try:
        with quiet():
            image = read_series(path) if path.is_dir() else _read_file(path)
    except RuntimeError as problem:
        raise _unreadable(path, str(problem)) from None
    if image.GetPixelID() in _COMPLEX:
        raise JobError(Code.FILE_UNREADABLE, f"{path} holds complex numbers.", "Give a magnitude image.")
    return image


def read_grid(path: Path) -> Grid:
    """Where the voxels of a 3-D image file lie, from its header alone.

    Raises `JobError`: FILE_UNREADABLE, also for a DICOM folder, or NOT_3D.
    """
    if path.is_dir():  # of which HDF5, one of those that ITK asks, would complain in 20 lines on stderr
        raise _unreadable(path, "")
    try:
        with quiet():
            reader = _opened(path)
    except RuntimeError as problem:
        raise _unreadable(path, str(problem)) from None
    count = reader.GetDimension()
    direction = np.reshape(reader.GetDirection(), (count, count))[:3, :3]
    return Grid(
        reader.GetSize()[:3], reader.GetSpacing()[:3], reader.GetOrigin()[:3], tuple(map(float, direction.ravel()))
    )


def require_scalar(path: Path, image: sitk.Image) -> None:
    """Raise NOT_3D where a voxel has several components (colour, vectors, time)."""
    components = image.GetNumberOfComponentsPerPixel()
    if components > 1:
        raise _not_3d(path, f"has {components} values in each of its {_times(image.GetSize())} voxels")


def require_thick(path: Path, image: sitk.Image) -> None:
    """Raise NOT_3D where an axis has a single voxel: one slice is no volume."""
    if min(image.GetSize()) < 2:
        raise _not_3d(path, f"has {_times(image.GetSize())} voxels: it is a single slice")


def require_finite(path: Path, array: NDArray[Any]) -> None:
    """Raise NOT_FINITE where the array holds NaN or infinity."""
    if array.dtype.kind != "f":
        return
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise _not_finite(path, bad, array.size)


def _opened(path: Path) -> sitk.ImageFileReader:
    """A reader that knows the file's header, which is of a volume; axes of one voxel after the third are none."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = reader.GetSize()
    if len(size) < 3 or any(n != 1 for n in size[3:]):
        raise _not_3d(path, f"has {_times(size)} voxels: {len(size)} axes")
    return reader


def _read_file(path: Path) -> sitk.Image:
    reader = _opened(path)
    if is_nifti(path) and not is_whole(path):
        raise RuntimeError(f"{path} is cut short")
    size = reader.GetSize()
    if len(size) > 3:
        reader.SetExtractSize([*size[:3], *(0 for _ in size[3:])])
    image: sitk.Image = reader.Execute()
    if is_nifti(path) and (bad := count_non_finite(path)):
        raise _not_finite(path, bad, math.prod(size) * reader.GetNumberOfComponents())
    return image


def _times(size: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in size)


def _not_finite(path: Path, bad: int, of: int) -> JobError:
    return JobError(
        Code.NOT_FINITE,
        f"{path} has {bad} values that are not finite numbers (NaN or infinity, of {of}).",
        "Replace them, for example by the background value, and save the file again.",
    )


def _not_3d(path: Path, what: str) -> JobError:
    return JobError(
        Code.NOT_3D,
        f"{path} {what}.",
        "Give one 3-D image with one number per voxel; of a time series take one frame, of DICOM slices the folder.",
    )


def _unreadable(path: Path, problem: str) -> JobError:
    what, advice = (
        "cannot be read as an image: it is damaged, cut short or of an unknown format",
        "Give a .nii, .nii.gz, .nrrd, .mha or .mhd file, or a folder with one DICOM series.",
    )
    if "orthonormal" in problem:
        what, advice = "has axes that are not at right angles", "Resample it onto a rectangular grid first."
    return JobError(Code.FILE_UNREADABLE, f"{path} {what}.", advice)
