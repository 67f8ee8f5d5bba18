"""A result against a reference: overlap and distance per structure, and how regular the deformation is."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import metrics
from .job import Code, JobError
from .job.result import LABELS
from .volumes import LabelMap, read_field, read_label_map, read_mask, resample_labels_to

HEADER = ("group", "name", "value", "unit")
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class StructureScore:
    """One structure: Dice (0 to 1), HD95 in mm (NaN where either map lacks it) and its volume in both maps in ml."""

    value: int
    name: str
    dice: float
    hd95_mm: float
    volume_ml: float
    reference_ml: float


@dataclass(frozen=True)
class Evaluation:
    """All scores of one result.

    Attributes:
        structures: those in either map, by label value.
        field: figures of the deformation, or None where no field was given.
        notes: what the reader should know.
    """

    structures: tuple[StructureScore, ...]
    field: metrics.JacobianStatistics | None = None
    notes: tuple[str, ...] = ()

    @property
    def mean_dice(self) -> float:
        """Over the structures that the reference has; one missing from the result counts 0."""
        return float(np.mean([score.dice for score in self.structures if score.reference_ml > 0]))

    @property
    def mean_hd95_mm(self) -> float:
        """Over the structures that both have, in mm; NaN where there is none."""
        found = [score.hd95_mm for score in self.structures if np.isfinite(score.hd95_mm)]
        return float(np.mean(found)) if found else float("nan")

    def rows(self) -> list[Row]:
        """Text rows as in `HEADER`, the means first in their groups."""
        found: list[Row] = [("Dice", "mean", f"{self.mean_dice:.4f}", "")]
        found += [("Dice", _title(score), f"{score.dice:.4f}", "") for score in self.structures]
        found.append(("HD95", "mean", f"{self.mean_hd95_mm:.3f}", "mm"))
        found += [("HD95", _title(score), f"{score.hd95_mm:.3f}", "mm") for score in self.structures]
        for score in self.structures:
            found.append(("volume", _title(score), f"{score.volume_ml:.4f}", "ml"))
            found.append(("reference volume", _title(score), f"{score.reference_ml:.4f}", "ml"))
        if self.field is not None:
            found += [
                ("field", "folding", f"{self.field.folding_percent:.6g}", "%"),
                ("field", "Jacobian minimum", f"{self.field.minimum:.4f}", ""),
                ("field", "Jacobian maximum", f"{self.field.maximum:.4f}", ""),
                ("field", "Jacobian standard deviation", f"{self.field.std:.4f}", ""),
                ("field", "SDlogJ", f"{self.field.sd_log:.4f}", ""),
            ]
        return found

    def to_csv(self) -> str:
        """The rows as CSV text with a header line."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(self.rows())
        return text.getvalue()


def evaluate(
    labels: Path, reference: Path, table: Path | None = None, field: Path | None = None, mask: Path | None = None
) -> Evaluation:
    """Score a label map, and a field where one is given.

    Args:
        labels: the result's label map, or the folder of a result.
        reference: the true label map of the same scan; where the grids differ, the result is resampled to its grid.
        table: names of the labels.
        field: displacement field whose Jacobian determinants are looked at.
        mask: voxels of the field that count (non-zero), on the field's grid; all where None.

    Raises:
        JobError: a file that cannot be read or used.
    """
    notes = []
    truth = read_label_map(reference, table)
    found = read_label_map(labels / LABELS if (labels / LABELS).is_file() else labels, table)
    if not found.grid.same_as(truth.grid):
        found = resample_labels_to(found, truth.grid)
        notes.append("The result was resampled to the reference's grid (nearest neighbour).")
    statistics = None if field is None else _field_statistics(field, mask)
    return Evaluation(_scores(found, truth), statistics, tuple(notes))


def _scores(found: LabelMap, truth: LabelMap) -> tuple[StructureScore, ...]:
    spacing = tuple(reversed(truth.grid.spacing))
    top = int(max(found.array.max(), truth.array.max())) + 1
    voxels = np.bincount(found.array.ravel(), minlength=top)
    reference_voxels = np.bincount(truth.array.ravel(), minlength=top)
    distances = metrics.hd95_each(found.array, truth.array, spacing)
    scores = []
    for value, overlap in metrics.dice(found.array, truth.array).items():
        label = truth.table.get(value) or found.table.get(value)
        scores.append(
            StructureScore(
                value=value,
                name=label.name if label else f"label {value}",
                dice=overlap,
                hd95_mm=distances[value],
                volume_ml=float(voxels[value]) * truth.grid.voxel_ml,
                reference_ml=float(reference_voxels[value]) * truth.grid.voxel_ml,
            )
        )
    return tuple(scores)


def _field_statistics(path: Path, mask: Path | None) -> metrics.JacobianStatistics:
    from .fields import from_lps, jacobian_determinant  # needs PyTorch, which overlaps alone do not

    vectors, grid = read_field(path)
    determinants = jacobian_determinant(from_lps(vectors, grid))[0, 0].numpy()
    if mask is None:
        return metrics.statistics(determinants)
    inside = read_mask(mask)
    if not inside.grid.same_as(grid):
        raise JobError(
            Code.MASK_ELSEWHERE, f"The mask {mask} lies on another grid than the field {path}.", "Resample the mask."
        )
    return metrics.statistics(determinants, inside.array > 0)


def _title(score: StructureScore) -> str:
    return score.name if score.name == f"label {score.value}" else f"{score.value} {score.name}"
