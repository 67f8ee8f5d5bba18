"""A network's segmentation as one more voter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Opinion:
    """What a network says of the target.

    Attributes:
        values: the labels of its classes, background (0) first, (K,) uint16.
        probabilities: of its classes, (K, D, H, W).
        weight: of its vote, where all atlases together weigh 1.
        known: where it says something, (D, H, W), 0 to 1; everywhere where None.
    """

    values: NDArray[np.uint16]
    probabilities: NDArray[np.floating]
    weight: float
    known: NDArray[np.floating] | None = None

    def winners(self, part: slice) -> NDArray[np.uint16]:
        """The most probable label of each voxel of the slices `part`."""
        found: NDArray[np.uint16] = self.values[self.probabilities[:, part].argmax(0)]
        return found

    def joined(self, share: Tensor, value: int, part: slice, box: tuple[slice, slice, slice]) -> Tensor:
        """The atlases' share of the votes for a label together with the network's: `(p + w P) / (1 + w)`.

        Args:
            share: of the atlases' votes, (d, h, w).
            part: slices of the target.
            box: of them the voxels that `share` is about.
        """
        weight: Tensor | float = self.weight
        if self.known is not None:
            weight = self.weight * torch.from_numpy(self.known[part][box].astype(np.float32))
        classes = np.flatnonzero(self.values == value)
        said = torch.zeros_like(share)
        for number in classes:
            said += torch.from_numpy(self.probabilities[number, part][box].astype(np.float32))
        return (share + weight * said) / (1.0 + weight)
