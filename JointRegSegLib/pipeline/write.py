"""Step 6: the files of a result."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import scipy
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from .. import __version__
from ..job import QualityTable, Request, result
from ..volumes import LabelMap, Volume, write_affine, write_field, write_label_map, write_segmentation, write_volume
from .check import Checked
from .earlier import comparison
from .placing import placed
from .prepare import Inputs
from .progress import Progress
from .propagate import Propagated
from .transform import Transform


def write_images(
    folder: Path,
    inputs: Inputs,
    transform: Transform,
    field: NDArray[np.float32],
    field_inverse: NDArray[np.float32],
    propagated: Propagated,
    checked: Checked,
    progress: Progress,
) -> None:
    """Everything but the tables, in the files' own axis orders. Raises `JobError` DISK_FULL or OUTPUT_UNWRITABLE."""
    grid, own = inputs.target.grid, inputs.target_grid
    labels = LabelMap(placed(propagated.labels.array, grid, own), own, propagated.labels.table)
    write_label_map(folder / result.LABELS, labels)
    progress.done(0.15)
    write_segmentation(folder / result.SEGMENTATION, labels)
    progress.done(0.3)
    warped = placed(_as_stored(propagated.warped, inputs.atlas), grid, own)
    write_volume(folder / result.WARPED_ATLAS, warped, own)
    progress.done(0.5)
    write_volume(folder / result.JACOBIAN, placed(checked.jacobian, grid, own), own)
    progress.done(0.8)
    if propagated.confidence is not None:
        write_volume(folder / result.CONFIDENCE, placed(propagated.confidence.round(2), grid, own), own)
    write_field(folder / result.FIELD, placed(field, grid, own), own)
    back = placed(field_inverse, inputs.atlas.grid, inputs.atlas_grid)
    write_field(folder / result.FIELD_INVERSE, back, inputs.atlas_grid)
    write_affine(folder / result.AFFINE, transform.affine)


def manifest(
    request: Request, transform: Transform, start: str, device: str, started: datetime, more: dict[str, object]
) -> dict[str, object]:
    """Versions, settings and times of a run, and whatever else is told; no path and no name of a patient."""
    return {
        "version": __version__,
        "method": request.method,
        **comparison(request, transform.similarity, transform.working),
        **more,
        "similarity_asked": request.similarity.value,
        "start": start,
        "seed": request.seed,
        "device": device,
        "threads": torch.get_num_threads(),
        "working_size": list(transform.working.size),
        "atlases": [atlas.name or f"atlas {number}" for number, atlas in enumerate(request.atlases, 1)],
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "SimpleITK": sitk.Version_VersionString(),
        "system": platform.system(),
        "machine": platform.machine(),
    }


def write_tables(folder: Path, table: QualityTable, facts: str) -> None:
    """The quality table and the manifest, last of all."""
    (folder / result.QUALITY_JSON).write_text(table.to_json(), encoding="utf-8")
    (folder / result.QUALITY_CSV).write_text(table.to_csv(), encoding="utf-8")
    (folder / result.MANIFEST).write_text(facts, encoding="utf-8")


def _as_stored(warped: NDArray[np.float32], atlas: Volume) -> NDArray[np.generic]:
    """Warped intensities as 16-bit integers where the atlas holds whole numbers that fit."""
    sample = atlas.array[:: max(1, atlas.array.shape[0] // 16)]
    if np.abs(sample).max(initial=0) < 2**15 and np.array_equal(sample, np.rint(sample)):
        return np.clip(np.rint(warped), -(2**15), 2**15 - 1).astype(np.int16)
    return warped
