"""What a trained method says about one pair, and how the optimisation takes it up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fields import Matrix, affine_positions, lattice_places, sample_lattice
from ..job import Refinement
from ..registration import Pair, inside, unfold
from ..volumes import Grid, Label, LabelMap, present_values
from .placing import class_slabs
from .soft_labels import soft_labels, stored

_REFINED = {
    Refinement.NONE: "is not refined",
    Refinement.IMAGES: "is refined by the images",
    Refinement.JOINT: "is refined by the images and the model's segmentation",
}


@dataclass(frozen=True)
class Use:
    """What a run does with a model's opinion.

    Attributes:
        refinement: what the optimisation does with the field; not AUTO.
        fused: whether the model's segmentation is fused with the labels that the field carries over.
        why: for people.
    """

    refinement: Refinement
    fused: bool
    why: str

    @property
    def words(self) -> str:
        """A sentence for the log."""
        labels = "fused with the model's segmentation" if self.fused else "not fused"
        return f"The model's field {_REFINED[self.refinement]}; labels are {labels}: {self.why}."


@dataclass(frozen=True)
class Proposal:
    """A trained method's opinion on a pair, on the model's grid around the target.

    Attributes:
        field: u (1, 3, D, H, W) in voxels of `grid`, between the target and the atlas behind the affine.
        probabilities: of the target's classes (1, K, D, H, W), background at 0; None where the method does not segment,
            or its segmentation is not used.
        structures: the label of class i + 1 at place i.
        values: the atlas's label values that belong to class i + 1 at place i.
        grid: its directions are the target's.
        labels: the atlas's labels.
        affine: 4x4, target points to atlas points, LPS mm.
        use: what is done with field and probabilities.
        facts: what the manifest of a run says of the model.
    """

    field: Tensor
    probabilities: Tensor | None
    structures: tuple[Label, ...]
    values: tuple[tuple[int, ...], ...]
    grid: Grid
    labels: LabelMap
    affine: Matrix
    use: Use
    facts: dict[str, object]

    @property
    def soft_labels(self) -> int:
        """How many structures pull in the optimisation."""
        return len(self.structures) if self.use.refinement is Refinement.JOINT else 0

    @property
    def held_bytes(self) -> float:
        """What the proposal itself takes of the memory."""
        tensors = [self.field] if self.probabilities is None else [self.field, self.probabilities]
        return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors))

    def field_on(self, grid: Grid) -> Tensor:
        """The field on another grid with the target's directions, in voxels of it; beyond the model's the edge's."""
        scale = [old / new for old, new in zip(self.grid.spacing, grid.spacing, strict=True)]
        found = sample_lattice(self.field, lattice_places(grid, self.grid, self.field))
        return found * found.new_tensor(scale[::-1]).view(1, 3, 1, 1, 1)

    def start_on(self, grid: Grid) -> Tensor:
        """The field as the optimisation may begin with it: without folds."""
        return unfold(self.field_on(grid))

    def probabilities_on(self, grid: Grid) -> tuple[Tensor, Tensor]:
        """The probabilities (K, D, H, W) on another grid, and where the model saw the target, (D, H, W), 0 or 1.

        `ValueError` where there are none.
        """
        if self.probabilities is None:
            raise ValueError("the proposal has no probabilities")
        found = sample_lattice(self.probabilities, lattice_places(grid, self.grid, self.field))
        return found[0], self._seen(grid)

    def segmentation_on(self, grid: Grid) -> NDArray[np.uint16]:
        """The label of the most probable class on another grid, (D, H, W); `ValueError` without probabilities."""
        values = np.array([0, *(label.value for label in self.structures)], np.uint16)
        found = np.empty(grid.shape, np.uint16)
        for part, lattice in class_slabs(grid, len(values)):
            found[part] = values[self.probabilities_on(lattice)[0].argmax(0).numpy()]
        return found

    def guided(self, pair: Pair) -> Pair:
        """The pair, with the probabilities and the atlas's labels as soft labels where the refinement is joint.

        Beyond what the model saw each class is as likely as any other.
        """
        if self.use.refinement is not Refinement.JOINT or self.probabilities is None:
            return pair
        places = lattice_places(pair.grid, self.grid, self.field)
        unseen = self._seen(pair.grid) == 0
        present = set(present_values(self.labels.array))
        shared = [(c, values) for c, values in enumerate(self.values, 1) if present.intersection(values)]
        fixed = []
        for c, _ in shared:
            share = sample_lattice(self.probabilities[:, c : c + 1], places)
            fixed.append(stored(share.masked_fill_(unseen, 1 / (len(shared) + 1))))
        groups = [values for _, values in shared]
        moving = soft_labels(self.labels, groups, pair.grid, self.affine, self.field)
        return replace(pair, fixed_labels=torch.cat(fixed, 1), moving_labels=moving)

    def _seen(self, grid: Grid) -> Tensor:
        """Where on a grid the model saw the target, (D, H, W), 0 or 1."""
        return inside(affine_positions(grid, self.grid, np.eye(4), self.field), self.grid.shape)[0, 0]
