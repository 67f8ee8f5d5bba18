"""Writing images, label maps and segmentations; a file that could not be written whole is an error and is removed."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..job.errors import Code, JobError
from .grid import Grid
from .images import quiet
from .nifti import is_nifti, is_whole
from .resampling import to_sitk
from .segmentation import segmentation_header
from .volume import LabelMap

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CHUNK = 1 << 20


def write_volume(path: Path, array: NDArray[Any], grid: Grid) -> None:
    """Write an image (k, j, i): floats as float32, integers in their own type, bool as uint8.

    Raises `JobError` DISK_FULL or OUTPUT_UNWRITABLE; `ValueError` where array and grid differ in shape.
    """
    write_image(path, to_sitk(array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array, grid))


def write_label_map(path: Path, label_map: LabelMap) -> None:
    """Write the label values as uint8 where they fit, else uint16. Raises as `write_volume`."""
    write_image(path, to_sitk(_narrow(label_map.array), label_map.grid))


def write_segmentation(path: Path, label_map: LabelMap) -> None:
    """Write a .seg.nrrd that Slicer reads as one segment for each label. Raises as `write_volume`."""
    image = to_sitk(_narrow(label_map.array, *label_map.table), label_map.grid)
    for key, value in segmentation_header(label_map).items():
        image.SetMetaData(key, value)
    write_image(path, image)


def write_image(path: Path, image: sitk.Image, compress: bool = True) -> None:
    """Write a SimpleITK image and make sure that all of it arrived. Raises as `write_volume`."""
    voxels = image.GetNumberOfPixels() * image.GetNumberOfComponentsPerPixel() * image.GetSizeOfPixelComponent()
    write_or_explain(path, lambda: sitk.WriteImage(image, str(path), compress, 1), voxels)


def write_or_explain(path: Path, write: Callable[[], None], expected: int) -> None:
    """Call `write`, which makes the file at `path` from `expected` bytes of voxels (0: a small file)."""
    path = Path(path)
    before = _stamp(path)
    try:
        with quiet():
            write()
        if not is_nifti(path) or is_whole(path):
            return
        cause = None
    except (RuntimeError, OSError) as error:
        cause = error  # for developers: its words hide what the system said, so explain_failure finds that out anew
    if path.is_file() and _stamp(path) != before:
        with suppress(OSError):
            path.unlink()
    raise explain_failure(path, expected) from cause


def explain_failure(path: Path, expected: int) -> JobError:
    """The error for a file that could not be written.

    SimpleITK does not say what the operating system said, so the folder is asked again: as many bytes are written to
    it as the file needs, and what that attempt says decides between DISK_FULL and OUTPUT_UNWRITABLE.
    """
    problem = "a folder has that name" if path.is_dir() else "its name or format is not accepted"
    try:
        with tempfile.TemporaryFile(dir=path.parent, buffering=0) as probe:
            left = max(expected, _CHUNK)
            while left > 0:
                left -= probe.write(b"\0" * min(left, _CHUNK)) or 0
            os.fsync(probe.fileno())
    except OSError as error:
        if error.errno in _FULL:
            return JobError(
                Code.DISK_FULL,
                f"The disk of {path.parent} has no room for {path.name} ({expected / 1e6:.0f} MB before compression).",
                "Free some space or choose another output folder.",
            )
        problem = error.strerror or problem
    return JobError(
        Code.OUTPUT_UNWRITABLE,
        f"{path} cannot be written: {problem}.",
        "Choose an output folder that you may write to.",
    )


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written to; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _narrow(array: NDArray[Any], *more_values: int) -> NDArray[Any]:
    highest = max(int(array.max(initial=0)), *more_values, 0)
    return array.astype(np.uint8 if highest < 256 else np.uint16, copy=False)
