"""Reading what a user hands in: scans, label maps and masks, checked before anything computes with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..job.errors import Code, JobError
from .grid import Grid
from .images import load_image, require_finite, require_scalar, require_thick
from .labels import MAX_VALUE, LabelTable
from .segmentation import is_segmentation, read_segments
from .tables import read_label_table
from .volume import LabelMap, Volume, present_values


def read_volume(path: Path) -> Volume:
    """The scan in a .nii, .nii.gz, .nrrd, .mha or .mhd file or in a folder of one DICOM series, as float32.

    Raises `JobError`: FILE_MISSING, FILE_UNREADABLE, NOT_3D, NOT_FINITE, IMAGE_EMPTY (all voxels alike).
    """
    image = load_image(path)
    require_scalar(path, image)
    require_thick(path, image)
    with np.errstate(over="ignore"):
        array = np.array(sitk.GetArrayViewFromImage(image), np.float32)
    require_finite(path, array)
    low = float(array.min())
    if low == float(array.max()):
        raise JobError(
            Code.IMAGE_EMPTY, f"All voxels of {path} are {low:g}.", "Give the scan itself: this image shows nothing."
        )
    return Volume(array, Grid.of(image))


def read_label_map(path: Path, table: Path | None = None) -> LabelMap:
    """The label map in an image file or a .seg.nrrd, as uint16, with a table of exactly the values it holds.

    Names and colours come from `table`, then from the file's own header (.seg.nrrd), then from defaults.

    Raises `JobError`: FILE_MISSING, FILE_UNREADABLE, NOT_3D, NOT_FINITE, LABELS_NOT_INTEGER, LABELS_NEGATIVE,
    LABELS_TOO_LARGE, LABELS_EMPTY, SEGMENTS_OVERLAP, LABEL_TABLE_INVALID.
    """
    image = load_image(path)
    own = LabelTable()
    if is_segmentation(image):
        array, own = read_segments(path, image, _label_values(path, sitk.GetArrayViewFromImage(image)))
    else:
        require_scalar(path, image)
        array = _label_values(path, sitk.GetArrayViewFromImage(image))
    values = present_values(array)
    if not values:
        raise JobError(Code.LABELS_EMPTY, f"{path} labels no voxel: all are 0.", "Give a label map with structures.")
    given = read_label_table(table) if table is not None else LabelTable()
    return LabelMap(array, Grid.of(image), given.completed(own.values()).restricted(values))


def read_mask(path: Path) -> Volume:
    """The voxels that are not 0 in an image file or a .seg.nrrd (any segment), as a boolean array.

    Raises `JobError`: FILE_MISSING, FILE_UNREADABLE, NOT_3D, NOT_FINITE, MASK_EMPTY.
    """
    image = load_image(path)
    segmented = is_segmentation(image)
    if not segmented:
        require_scalar(path, image)
    values = sitk.GetArrayViewFromImage(image)
    require_finite(path, values)
    mask = np.asarray(values != 0)
    if mask.ndim == 4:
        mask = np.any(mask, axis=3)
    if not mask.any():
        raise JobError(
            Code.MASK_EMPTY, f"The mask {path} leaves no voxel: all are 0.", "Mark the voxels to compare with 1."
        )
    return Volume(mask, Grid.of(image))


def _label_values(path: Path, array: NDArray[Any]) -> NDArray[np.uint16]:
    """The array as uint16 where its values are labels, else a `JobError`."""
    require_finite(path, array)
    if array.dtype.kind == "f" and bool((fractions := array != np.rint(array)).any()):
        raise JobError(
            Code.LABELS_NOT_INTEGER,
            f"{path} holds {array[fractions][0]:g}, which is no label value.",
            "Labels are whole numbers: give a label map that was resampled with nearest neighbour, not a scan.",
        )
    low, high = array.min(), array.max()
    if low < 0:
        raise JobError(
            Code.LABELS_NEGATIVE, f"{path} holds the label value {low:.0f}.", "Give values of 0 (background) and above."
        )
    if high > MAX_VALUE:
        raise JobError(
            Code.LABELS_TOO_LARGE, f"{path} holds the label value {high:.0f}.", f"Renumber it to {MAX_VALUE} or less."
        )
    return array.astype(np.uint16)
