"""An earlier result of the same pair, to go on from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..fields import Matrix, residual_of
from ..job import Code, JobError, Request, Result, Similarity, result
from ..registration import Alignment
from ..volumes import Grid, LabelMap, canonical, read_affine, read_field, read_label_map
from .prepare import Inputs


@dataclass(frozen=True)
class Earlier:
    """What a run takes over.

    Attributes:
        affine: 4x4, target points to atlas points, LPS mm.
        similarity: what was compared.
        labels: of the target, in canonical axis order.
    """

    affine: Matrix
    similarity: Similarity
    labels: LabelMap
    _field: tuple[NDArray[np.float32], Grid]
    _inverse: tuple[NDArray[np.float32], Grid]
    _found: Result

    @classmethod
    def read(cls, folder: Path, inputs: Inputs) -> Earlier:
        """The result in a folder.

        Raises `JobError`: RESULT_INVALID where it is not whole; REQUEST_INVALID where it is another pair's, or of
        several atlases.
        """
        found = Result.open(folder)
        similarity = _similarity(found)
        _require_same_scans(found, inputs)
        field, inverse = (read_field(found.path(name)) for name in (result.FIELD, result.FIELD_INVERSE))
        for (_, grid), own, what in ((field, inputs.target_grid, "target"), (inverse, inputs.atlas_grid, "atlas")):
            if not grid.same_as(own):
                raise _another_pair(folder, f"the {what}'s voxels lie elsewhere")
        affine = read_affine(found.path(result.AFFINE))
        labels = canonical(read_label_map(found.path(result.LABELS)))
        if not labels.grid.same_as(inputs.target.grid):
            raise _invalid(folder, "its labels are not on the target's voxels")
        return cls(affine, similarity, labels, field, inverse, found)

    @property
    def held_bytes(self) -> float:
        """What it takes of the memory."""
        return float(self._field[0].nbytes + self._inverse[0].nbytes + self.labels.array.nbytes)

    @property
    def alignment(self) -> Alignment:
        """Its affine, as a start that needs no search; its score is not known."""
        return Alignment(self.affine, "an earlier result", math.nan)

    def similarity_before(self, how: dict[str, object]) -> float | None:
        """The similarity of the affine alone, where that run compared all voxels and did it in the same way."""
        known = {name: self._found.manifest.get(name) for name in how}
        return self._found.quality.measure("similarity_before") if known == how and not how["masked"] else None

    def residual_on(self, grid: Grid) -> Tensor:
        """The field behind the affine (1, 3, D, H, W), in voxels of a grid in target space."""
        return residual_of(*self._field, grid, np.eye(4), np.asarray(np.linalg.inv(self.affine)))

    def residual_inverse_on(self, grid: Grid) -> Tensor:
        """Its inverse, likewise."""
        return residual_of(*self._inverse, grid, self.affine, np.eye(4))


def comparison(request: Request, similarity: Similarity, working: Grid) -> dict[str, object]:
    """What was compared, and how."""
    return {
        "quality": request.quality.value,
        "similarity": similarity.value,
        "working_spacing_mm": [round(s, 4) for s in working.spacing],
        "masked": request.target_mask is not None or any(atlas.mask is not None for atlas in request.atlases),
    }


def _require_same_scans(found: Result, inputs: Inputs) -> None:
    for name, digest in inputs.digests.items():
        if found.manifest.get(name, digest) != digest:
            raise _another_pair(found.folder, f"its {name.removesuffix('_digest')} is another scan")


def _another_pair(folder: Path, why: str) -> JobError:
    return JobError(
        Code.REQUEST_INVALID,
        f"The result in {folder} is of another pair: {why}.",
        "Name the result of this atlas and this target.",
    )


def _similarity(found: Result) -> Similarity:
    """What a result compared; `JobError` REQUEST_INVALID where its field is one of several atlases'."""
    try:
        similarity, atlases = Similarity(found.manifest["similarity"]), list(found.manifest["atlases"])
    except (ValueError, KeyError, TypeError) as problem:
        raise _invalid(found.folder, f"its manifest cannot be understood ({problem})") from problem
    if len(atlases) > 1:
        raise JobError(
            Code.REQUEST_INVALID,
            f"The result in {found.folder} is fused from {len(atlases)} atlases, and only one can be gone on with.",
            "Register one of them alone, and go on from that result.",
        )
    return similarity


def _invalid(folder: Path, what: str) -> JobError:
    return JobError(Code.RESULT_INVALID, f"The result in {folder} cannot be gone on from: {what}.", "Run again.")
