"""What PGCNet minimises (Tan et al., MICCAI 2023, Eq. 2 to 5): terms of one pass over pairs."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from JointRegSegLib.fields import warp
from JointRegSegLib.losses import balanced_weights, cross_entropy, diffusion, soft_dice, squared_lncc
from JointRegSegLib.networks import JointOutput
from JointRegSegLib.training.phases import Batch
from JointRegSegLib.training.targets import one_hot
from JointRegSegLib.training.terms import LossTerm

from .model import CoupledPyramid
from .settings import Loss

_REG = frozenset({"enc", "reg", "pos"})
_ALL = frozenset({"enc", "reg", "pos", "seg"})


class PairView:
    """Pairs (moving, fixed), of which at least one side is labelled, and what one pass of the model makes of them."""

    def __init__(self, model: CoupledPyramid, batch: Batch, classes: int) -> None:
        self._model, self._batch, self._classes = model, batch, classes
        self.moving, self.fixed = batch.images(0), batch.images(1)

    @cached_property
    def output(self) -> JointOutput:
        """Both fields and the logits of both sides."""
        return self._model.of_pair(self.moving, self.fixed)

    @property
    def field(self) -> Tensor:
        """u (B, 3, D, H, W) in voxels."""
        assert self.output.field is not None
        return self.output.field

    @property
    def inverse(self) -> Tensor:
        """The inverse field, likewise."""
        assert self.output.inverse_field is not None
        return self.output.inverse_field

    @property
    def logits(self) -> tuple[Tensor, Tensor]:
        """Of the moving and of the fixed images, (B, K, D, H, W)."""
        assert self.output.seg_moving is not None
        assert self.output.seg_fixed is not None
        return self.output.seg_moving, self.output.seg_fixed

    @cached_property
    def probabilities(self) -> tuple[Tensor, Tensor]:
        """Of the moving and of the fixed images, (B, K, D, H, W)."""
        moving, fixed = (logits.softmax(1) for logits in self.logits)
        return moving, fixed

    def classification(self) -> Tensor:
        """L_wce of the labelled sides, (B,): classes weigh alike, however large they are."""
        labels = self._labels
        each = [cross_entropy(self.logits[i], y, balanced_weights(y, self._classes)) for i, y in labels.items()]
        return torch.stack(each).mean(0)

    def overlap(self, loss: Loss) -> Tensor:
        """L_dice of the labelled sides, (B,)."""
        labels = self._labels
        each = [soft_dice(self.probabilities[i], one_hot(y, self._classes), loss.dice) for i, y in labels.items()]
        return torch.stack(each).mean(0)

    def similarity(self, loss: Loss) -> Tensor:
        """L_sim, (B,)."""
        there = -squared_lncc(self.fixed, warp(self.moving, self.field))
        if not loss.bidirectional:
            return there
        return (there - squared_lncc(self.moving, warp(self.fixed, self.inverse))) / 2

    def smoothness(self, loss: Loss) -> Tensor:
        """L_smooth without its weight, (B,)."""
        there = diffusion(self.field)
        return (there + diffusion(self.inverse)) / 2 if loss.bidirectional else there

    def agreement(self, loss: Loss) -> Tensor:
        """L_joint, (B,): how little the fixed prediction overlaps the moving one after registration."""
        manual = self._labels if loss.joint_labels == "manual" else {}
        moving, fixed = (
            one_hot(manual[side], self._classes) if side in manual else predicted
            for side, predicted in enumerate(self.probabilities)
        )
        return soft_dice(fixed, warp(moving, self.field), loss.dice)

    @cached_property
    def _labels(self) -> dict[int, Tensor]:
        """0 for the moving, 1 for the fixed side -> its labels, where there are some."""
        found = {side: self._batch.labels(side) for side in (0, 1)}
        return {side: labels for side, labels in found.items() if labels is not None}


def first_terms(loss: Loss) -> list[LossTerm[PairView]]:
    """L_sim + lambda L_smooth + L_wce + L_dice."""
    return [
        LossTerm("similarity", lambda view: view.similarity(loss), 1.0, _REG),
        LossTerm("smoothness", lambda view: view.smoothness(loss), loss.smoothness, _REG),
        LossTerm("classification", PairView.classification, 1.0, _ALL),
        LossTerm("overlap", lambda view: view.overlap(loss), 1.0, _ALL),
    ]


def joint_terms(loss: Loss) -> list[LossTerm[PairView]]:
    """The same and L_joint."""
    return [*first_terms(loss), LossTerm("joint", lambda view: view.agreement(loss), loss.joint, _ALL)]
