"""What DeepAtlas' two networks minimise.

Each objective is a sum of terms of a view on a pair, which computes each thing when a term first asks for it. The
network that a step does not train is only read: no gradient passes through it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from JointRegSegLib.fields import Shape, warp
from JointRegSegLib.losses import bending_energy, global_ncc, soft_dice, squared_lncc
from JointRegSegLib.networks import JointModel
from JointRegSegLib.training.dataset import Sample
from JointRegSegLib.training.phases import Batch, training_only
from JointRegSegLib.training.targets import one_hot
from JointRegSegLib.training.terms import LossTerm
from JointRegSegLib.training.views import RegisteredPairs

from .settings import Loss

_MOVING, _FIXED = 0, 1
_WINDOW = 3
_USUAL_SIDE = 128


class Supervised(Protocol):
    """A view that shows labelled images."""

    @property
    def supervised(self) -> tuple[Tensor, Tensor]:
        """Prediction and manual label (B, K, D, H, W)."""


class LabelledView:
    """Labelled images as the segmentation network learns from them alone."""

    def __init__(self, model: JointModel, batch: Batch, classes: int) -> None:
        self._model, self._batch, self._classes = model, batch, classes

    @cached_property
    def supervised(self) -> tuple[Tensor, Tensor]:
        """Prediction and manual label (B, K, D, H, W)."""
        labels = self._batch.labels(0)
        assert labels is not None
        return self._model.segment(self._batch.images(0)).softmax(1), one_hot(labels, self._classes)


class RegistrationView(RegisteredPairs):
    """Pairs (moving, fixed) as the registration network learns from them."""

    @cached_property
    def anatomy_warped(self) -> Tensor:
        """Segmentations (B, K, D, H, W) of the moving images after registration."""
        return warp(self._anatomy(_MOVING), self.field)

    @cached_property
    def anatomy_fixed(self) -> Tensor:
        """Segmentations (B, K, D, H, W) of the fixed images."""
        return self._anatomy(_FIXED)

    def _anatomy(self, column: int) -> Tensor:
        """Manual labels, and what the segmentation network says where there are none: only read, even by a step that
        trains it too.
        """
        samples = [item[column] for item in self._batch.items]
        with training_only(self._model), torch.no_grad():
            return torch.cat(
                [
                    self._model.segment(sample.image).softmax(1)
                    if sample.label is None
                    else one_hot(sample.label, self._classes)
                    for sample in samples
                ]
            )


class SegmentationView:
    """Pairs (moving, fixed), of which at least one side is labelled, as the segmentation network learns from them."""

    def __init__(self, model: JointModel, batch: Batch, classes: int) -> None:
        self._model, self._batch, self._classes = model, batch, classes

    @cached_property
    def predicted(self) -> tuple[Tensor, Tensor]:
        """Probabilities (B, K, D, H, W) of the moving and of the fixed images."""
        both = torch.cat([self._batch.images(_MOVING), self._batch.images(_FIXED)])
        moving, fixed = self._model.segment(both).softmax(1).chunk(2)
        return moving, fixed

    @cached_property
    def anatomy_warped(self) -> Tensor:
        """Manual label or prediction (B, K, D, H, W) of the moving images after registration."""
        with training_only(self._model), torch.no_grad():
            field = self._model.register(self._batch.images(_MOVING), self._batch.images(_FIXED))
        return warp(self._known_or_predicted(_MOVING), field)

    @cached_property
    def anatomy_fixed(self) -> Tensor:
        """Manual label or prediction (B, K, D, H, W) of the fixed images."""
        return self._known_or_predicted(_FIXED)

    @cached_property
    def supervised(self) -> tuple[Tensor, Tensor]:
        """Prediction and manual label (B, K, D, H, W) of each pair's labelled side, the moving one where both are."""
        sides = [_MOVING if moving.label is not None else _FIXED for moving, fixed in self._batch.items]
        labels = [item[side].label for side, item in zip(sides, self._batch.items, strict=True)]
        predicted = torch.stack([self.predicted[side][i] for i, side in enumerate(sides)])
        return predicted, torch.cat([one_hot(label, self._classes) for label in labels if label is not None])

    def _known_or_predicted(self, column: int) -> Tensor:
        samples: list[Sample] = [item[column] for item in self._batch.items]
        predicted = self.predicted[column].split(1)
        return torch.cat(
            [
                guess if sample.label is None else one_hot(sample.label, self._classes)
                for sample, guess in zip(samples, predicted, strict=True)
            ]
        )


def alignment_terms(loss: Loss, shape: Shape) -> list[LossTerm[RegistrationView]]:
    """L_i + lr L_r, what registration alone minimises on a grid of this shape."""
    reg = frozenset({"reg"})
    return [
        LossTerm("similarity", _similarity if loss.similarity == "ncc" else _local_similarity, 1.0, reg),
        LossTerm("bending", lambda view: bending_energy(view.field), loss.bending * _scale(shape), reg),
    ]


def registration_terms(loss: Loss, shape: Shape) -> list[LossTerm[RegistrationView]]:
    """lr L_r + L_i + la L_a(S_m o phi, S_t)."""
    anatomy = LossTerm[RegistrationView](
        "anatomy", lambda view: soft_dice(view.anatomy_warped, view.anatomy_fixed), loss.anatomy, frozenset({"reg"})
    )
    return [*alignment_terms(loss, shape), anatomy]


def supervision_terms(loss: Loss) -> list[LossTerm[LabelledView]]:
    """lsp L_sp, what segmentation alone minimises."""
    return [LossTerm("supervision", _supervision, loss.supervision, frozenset({"seg"}))]


def segmentation_terms(loss: Loss) -> list[LossTerm[SegmentationView]]:
    """la L_a + lsp L_sp; with both sides labelled, L_a is constant for the segmentation network."""
    seg = frozenset({"seg"})
    return [
        LossTerm("anatomy", lambda view: soft_dice(view.anatomy_warped, view.anatomy_fixed), loss.anatomy, seg),
        LossTerm("supervision", _supervision, loss.supervision, seg),
    ]


def _similarity(view: RegistrationView) -> Tensor:
    return 1 - global_ncc(view.warped, view.fixed)


def _local_similarity(view: RegistrationView) -> Tensor:
    return 1 - squared_lncc(view.warped, view.fixed, _WINDOW)


def _supervision(view: Supervised) -> Tensor:
    return soft_dice(*view.supervised)


def _scale(shape: Shape) -> float:
    """(n / 128)^2, with the geometric mean of the sides as n."""
    depth, height, width = shape
    return float((depth * height * width) ** (1 / 3) / _USUAL_SIDE) ** 2
