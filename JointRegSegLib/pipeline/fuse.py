"""The labels that the field carries over and the model's own segmentation, made one label map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..fields import Box, displaced_positions, gaussian, landings, sample, shape_of
from ..fusion import pool
from ..volumes import LabelMap, widened
from .placing import class_slabs
from .prepare import Inputs
from .propagate import Propagated
from .proposal import Proposal

_MARGIN = (4, 4, 4)


def fuse(inputs: Inputs, field: NDArray[np.float32], propagated: Propagated, proposal: Proposal) -> Propagated:
    """Pool the atlas's labels, carried over linearly, with the model's probabilities (`fusion.pool`).

    The atlas's labels are blurred by one voxel first, so that they are less sure of their borders than of their inside.

    Args:
        inputs: the pair.
        field: u on the target's grid, LPS mm.
        propagated: what the field carried over.
        proposal: with probabilities of classes of one label value each.

    Returns: `propagated` with the fused labels and their confidence.
    """
    grid, table = inputs.target.grid, inputs.labels.table.completed(proposal.structures)
    own = tuple(label.value for label in proposal.structures)
    shares = _soft_labels(inputs.labels, own)
    values = np.array([0, *own], np.uint16)
    labels, confidence = np.empty(grid.shape, np.uint16), np.empty(grid.shape, np.float32)
    for part, lattice in class_slabs(grid, len(values)):
        carried = _carried(shares, displaced_positions(field[part], lattice, inputs.atlas.grid), len(values))
        predicted, seen = proposal.probabilities_on(lattice)
        fused = pool([carried, predicted], [None, seen])
        labels[part] = values[fused.classes.numpy()]
        confidence[part] = fused.confidence.numpy()
    return replace(propagated, labels=LabelMap(labels, grid, table), confidence=confidence)


@dataclass(frozen=True)
class _Share:
    """One class's blurred mask (1, 1, D, H, W) in a box (d, h, w) of the atlas."""

    number: int
    mask: Tensor
    box: Box

    @property
    def corner(self) -> Tensor:
        """The box's first voxel, (1, 3, 1, 1, 1)."""
        return self.mask.new_tensor([side.start for side in self.box]).view(1, 3, 1, 1, 1)


def _soft_labels(labels: LabelMap, values: tuple[int, ...]) -> list[_Share]:
    finest = min(labels.grid.spacing)
    w, h, d = (finest / mm for mm in labels.grid.spacing)
    found = []
    boxes = ndimage.find_objects(labels.array.astype(np.int32))
    for number, value in enumerate(values, 1):
        box = boxes[value - 1] if value <= len(boxes) else None
        if box is not None:
            wider = widened(box, _MARGIN, labels.grid.shape)
            mask = torch.from_numpy((labels.array[wider] == value).astype(np.float32))[None, None]
            found.append(_Share(number, gaussian(mask, (d, h, w)), wider))
    return found


def _carried(shares: list[_Share], positions: Tensor, classes: int) -> Tensor:
    """The probabilities (K, D, H, W) of the atlas's labels at positions (1, 3, D, H, W) in its voxels."""
    found = positions.new_zeros(classes, *shape_of(positions))
    for share, part in zip(shares, landings(positions, [share.box for share in shares]), strict=True):
        if part is not None:
            places = positions[(..., *part)] - share.corner
            found[share.number][part] = sample(share.mask, places, padding="zeros")[0, 0]
    found[0] = (1 - found[1:].sum(0)).clamp_(min=0)
    return found
