"""Displacement fields and affine transforms as files. Both map target points to atlas points, in LPS mm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..job.errors import Code, JobError
from .grid import Grid
from .images import load_image, quiet, require_finite
from .resampling import to_sitk
from .writing import write_image, write_or_explain

_KIND = "displacement field type"
_LEAST_SCALE = 1e-3  # an affine that shrinks a direction a thousandfold maps a body to a sheet
_ADVICE = "Give an affine or rigid transform from target to atlas, as Slicer, ANTs or SimpleITK save it."


def read_field(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """A displacement field: vectors (k, j, i, 3) float32 in LPS mm (x, y, z), and its grid.

    Raises `JobError`: FILE_MISSING, FILE_UNREADABLE, NOT_3D, NOT_FINITE.
    """
    image = load_image(path)
    components = image.GetNumberOfComponentsPerPixel()
    modeling = image.HasMetaDataKey(_KIND) and image.GetMetaData(_KIND).strip() == "modeling"
    if components != 3 or modeling:
        what = "displaces points of the atlas, not of the target" if modeling else f"has {components} values per voxel"
        raise JobError(
            Code.FILE_UNREADABLE,
            f"{path} is not a displacement field as needed here: it {what}.",
            "Give a field with 3 values per voxel, saved as a resampling (from-parent) transform.",
        )
    vectors = sitk.GetArrayFromImage(image).astype(np.float32, copy=False)
    require_finite(path, vectors)
    return vectors, Grid.of(image)


def write_field(path: Path, vectors: NDArray[Any], grid: Grid) -> None:
    """Write vectors (k, j, i, 3) in LPS mm as a .nrrd that Slicer and SimpleITK read alike; float32, not compressed.

    Raises `JobError` DISK_FULL or OUTPUT_UNWRITABLE; `ValueError` where vectors and grid differ in shape.
    """
    if vectors.shape[3:] != (3,):
        raise ValueError(f"vectors of shape {vectors.shape}")
    image = to_sitk(vectors.astype(np.float32, copy=False), grid)
    image.SetMetaData(_KIND, "resampling")
    image.SetMetaData("intent_code", "1006")
    # Displacements hardly compress: deflating takes 40 times as long and saves nothing.
    write_image(path, image, compress=False)


def read_affine(path: Path) -> NDArray[np.float64]:
    """The 4x4 matrix of a linear transform file (.tfm, .txt, .mat, .h5): target points to atlas points, LPS mm.

    Raises `JobError`: FILE_MISSING, FILE_UNREADABLE, START_INVALID (not 3-D, not linear, or not invertible).
    """
    path = Path(path)
    if not path.exists():
        raise JobError(Code.FILE_MISSING, f"There is no transform {path}.", "Check the path.")
    try:
        with quiet():
            transform = sitk.ReadTransform(str(path))
    except RuntimeError:
        raise JobError(Code.FILE_UNREADABLE, f"{path} cannot be read as a transform.", _ADVICE) from None
    if transform.GetDimension() != 3 or not transform.IsLinear():
        what = "not linear" if transform.GetDimension() == 3 else f"{transform.GetDimension()}-D"
        raise JobError(Code.START_INVALID, f"The transform {path} is {what}.", _ADVICE)
    matrix = np.eye(4)
    matrix[:3, 3] = transform.TransformPoint((0.0, 0.0, 0.0))
    for axis, unit in enumerate(np.eye(3)):
        matrix[:3, axis] = np.asarray(transform.TransformPoint(unit.tolist())) - matrix[:3, 3]
    if not np.isfinite(matrix).all() or np.linalg.svd(matrix[:3, :3], compute_uv=False).min() < _LEAST_SCALE:
        raise JobError(Code.START_INVALID, f"The transform {path} is not invertible.", _ADVICE)
    return matrix


def write_affine(path: Path, matrix: NDArray[np.float64]) -> None:
    """Write a 4x4 matrix (LPS mm) as a .tfm. Raises `JobError` DISK_FULL or OUTPUT_UNWRITABLE."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    write_or_explain(path, lambda: sitk.WriteTransform(transform, str(path)), 0)
