"""What a two-network model's registration makes of pairs, computed when a term of an objective first asks for it."""

from __future__ import annotations

from functools import cached_property

from torch import Tensor

from JointRegSegLib.fields import warp
from JointRegSegLib.networks import JointModel

from .phases import Batch


class RegisteredPairs:
    """Pairs (moving, fixed) and the field between them; images (B, 1, D, H, W).

    Args:
        model: what registers.
        batch: items of two scans.
        classes: K, for the labels that a method's own view adds.
    """

    def __init__(self, model: JointModel, batch: Batch, classes: int) -> None:
        self._model, self._batch, self._classes = model, batch, classes
        self.moving, self.fixed = batch.images(0), batch.images(1)

    @cached_property
    def field(self) -> Tensor:
        """u (B, 3, D, H, W) in voxels."""
        return self._model.register(self.moving, self.fixed)

    @cached_property
    def warped(self) -> Tensor:
        """The moving images (B, 1, D, H, W) after registration."""
        return warp(self.moving, self.field)
