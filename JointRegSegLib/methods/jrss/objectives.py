"""What JRSS' two networks minimise (Shi et al., BSPC 2023, Eq. 1 to 7).

Each objective is a sum of terms of a view on a step's scans, which computes each thing when a term first asks for it.
All scans come with labels, manual or pseudo, in which voxels that must teach nothing are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from JointRegSegLib.fields import warp
from JointRegSegLib.losses import cross_entropy, diffusion, mean_squares, soft_dice, symmetric_kl
from JointRegSegLib.networks import JointModel
from JointRegSegLib.training.phases import Batch
from JointRegSegLib.training.schedules import Schedule
from JointRegSegLib.training.targets import known, one_hot
from JointRegSegLib.training.terms import LossTerm
from JointRegSegLib.training.views import RegisteredPairs

from .model import TaughtModel
from .settings import Loss

_LABELLED, _OTHER = 0, 1


class RegistrationView(RegisteredPairs):
    """Pairs (moving, fixed) as the registration network learns from them."""

    @cached_property
    def anatomy(self) -> tuple[Tensor, Tensor, Tensor]:
        """Labels (B, K, D, H, W) of warped and fixed scans, and where both count (B, 1, D, H, W)."""
        moving, fixed = _labels(self._batch, 0), _labels(self._batch, 1)
        warped = warp(one_hot(moving, self._classes), self.field)
        counted = known(fixed) * warp(known(moving), self.field.detach())
        return warped, one_hot(fixed, self._classes), counted


class LabelledView:
    """Labelled images as the student learns from them alone."""

    def __init__(self, model: TaughtModel, batch: Batch, classes: int) -> None:
        self._model, self._batch, self._classes = model, batch, classes

    @cached_property
    def predicted(self) -> Tensor:
        """Probabilities (B, K, D, H, W)."""
        return self._model.study(self._batch.images(0)).softmax(1)

    @cached_property
    def target(self) -> Tensor:
        """Labels (B, K, D, H, W)."""
        return one_hot(_labels(self._batch, 0), self._classes)


class StudentView:
    """Items (labelled scan, other scan) as the student learns from them.

    One of both moves onto the other; registration and teacher are only read.

    Args:
        model: the student, and the registration network.
        teacher: what the student's probabilities are compared with.
        batch: items of two scans.
        classes: K.
        noise: whether the student sees the moving scan after registration.
        other_moves: for each item which of both moves.
    """

    def __init__(
        self,
        model: TaughtModel,
        teacher: JointModel,
        batch: Batch,
        classes: int,
        noise: bool,
        other_moves: Sequence[bool],
    ) -> None:
        self._model, self._teacher, self._classes, self._noise = model, teacher, classes, noise
        self._images = (batch.images(_LABELLED), batch.images(_OTHER))
        other = torch.tensor(list(other_moves), device=self._images[0].device).view(-1, 1, 1, 1, 1)
        self._moves = (~other, other)
        self._labels = (_labels(batch, _LABELLED), _labels(batch, _OTHER))

    @cached_property
    def logits(self) -> Tensor:
        """The student's (2 B, K, D, H, W), of the labelled scans and then of the others."""
        return self._model.study(torch.cat([self._seen(image, i) for i, image in enumerate(self._images)]))

    @cached_property
    def probabilities(self) -> Tensor:
        """The student's (2 B, K, D, H, W)."""
        return self.logits.softmax(1)

    @cached_property
    def labels(self) -> Tensor:
        """The classes (2 B, 1, D, H, W) of what the student sees."""
        return torch.cat([self._seen(labels.float(), i, "nearest").long() for i, labels in enumerate(self._labels)])

    @cached_property
    def taught(self) -> Tensor:
        """The teacher's probabilities (2 B, K, D, H, W), moved with what the student sees."""
        with torch.no_grad():
            found = self._teacher.segment(torch.cat(self._images)).softmax(1)
            return torch.cat([self._seen(part, i) for i, part in enumerate(found.chunk(2))])

    @cached_property
    def anatomy(self) -> tuple[Tensor, Tensor, Tensor]:
        """On the fixed grids: the student's probabilities of the others, the manual labels, and where both count."""
        others = self.probabilities.chunk(2)[_OTHER]
        if not self._noise:
            others = self._carried(others, _OTHER)
        manual = self._carried(one_hot(self._labels[_LABELLED], self._classes), _LABELLED)
        return others, manual, self._carried(known(self._labels[_OTHER]), _OTHER)

    @cached_property
    def _field(self) -> Tensor:
        labelled, other = self._images
        moving, fixed = (torch.where(moves, other, labelled) for moves in reversed(self._moves))
        with torch.no_grad():
            return self._model.register(moving, fixed)

    def _carried(self, tensor: Tensor, column: int, mode: str = "bilinear") -> Tensor:
        """The tensor on the fixed grids."""
        moves = self._moves[column]
        return torch.where(moves, warp(tensor, self._field, mode), tensor) if moves.any() else tensor

    def _seen(self, tensor: Tensor, column: int, mode: str = "bilinear") -> Tensor:
        """The tensor where the student sees it."""
        return self._carried(tensor, column, mode) if self._noise else tensor


def registration_terms(loss: Loss, smoothness: Schedule) -> list[LossTerm[RegistrationView]]:
    """L_i + lambda_r L_r + lambda_d L_d(S_F, S_M o u); L_d is 0 for a pair of which a side has no labels."""
    reg = frozenset({"reg"})
    return [
        LossTerm("similarity", lambda view: mean_squares(view.fixed, view.warped), 1.0, reg),
        LossTerm("smoothness", lambda view: diffusion(view.field), smoothness, reg),
        LossTerm("overlap", lambda view: _overlap(view.anatomy), loss.reg_overlap, reg),
    ]


def supervision_terms() -> list[LossTerm[LabelledView]]:
    """L_d between prediction and manual label."""
    return [LossTerm("overlap", lambda view: soft_dice(view.predicted, view.target), 1.0, frozenset({"seg"}))]


def student_terms(loss: Loss, class_weights: Tensor) -> list[LossTerm[StudentView]]:
    """L_c + L_u + L_d; of a scan whose pseudo-labels were not accepted only L_u is left.

    L_c is the sum of two means, over the labelled scans and over the others. L_d compares the manual labels with the
    student's probabilities: pseudo-labels are constant and would teach nothing.
    """

    hardest = loss.hardest if loss.hardest < 1 else None

    def classification(view: StudentView) -> Tensor:
        found = cross_entropy(view.logits, view.labels, class_weights, hardest=hardest)
        return found.view(2, -1).sum(0)

    seg = frozenset({"seg"})
    return [
        LossTerm("classification", classification, 1.0, seg),
        LossTerm("uncertainty", lambda view: symmetric_kl(view.taught, view.probabilities), loss.uncertainty, seg),
        LossTerm("overlap", lambda view: _overlap(view.anatomy), loss.seg_overlap, seg),
    ]


def _overlap(anatomy: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    a, b, counted = anatomy
    return soft_dice(a, b, weight=counted)


def _labels(batch: Batch, column: int) -> Tensor:
    labels = batch.labels(column)
    assert labels is not None
    return labels
