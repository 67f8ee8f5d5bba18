"""What MMLN minimises (Zheng et al., Neurocomputing 2022, Eq. 4 to 8): terms of one level of the pyramid."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from JointRegSegLib.fields import warp
from JointRegSegLib.losses import diffusion, global_ncc
from JointRegSegLib.training.phases import Batch
from JointRegSegLib.training.terms import LossTerm

from .model import LEVELS, LaplacianPyramid, Level
from .settings import Loss


class LevelView:
    """Pairs (moving, fixed) at one level of the pyramid; computes each thing when a term first asks for it.

    Args:
        model: what computes.
        batch: the pairs; labels are not looked at.
        number: of the level, 0 for the coarsest.
    """

    def __init__(self, model: LaplacianPyramid, batch: Batch, number: int) -> None:
        self._model, self._batch, self._number = model, batch, number

    @cached_property
    def level(self) -> Level:
        """What the pyramid makes of the pairs."""
        return self._model.climb(self._batch.images(0), self._batch.images(1), self._number + 1)[-1]

    def similarity(self) -> Tensor:
        """L_similarity of the level, (B,)."""
        return _unlike(self.level.moving, self.level.fixed, self.level.field)

    def slices(self) -> Tensor:
        """L_similarity by the fields of the slices, (B,); the mean over their planes."""
        level, fields = self.level, self._model.slice_fields(self._number, self.level)
        return torch.stack([_unlike(level.moving, level.fixed, field) for field in fields]).mean(0)

    def core(self) -> Tensor:
        """L_similarity of the core, (B,)."""
        return _unlike(*self._model.core(self.level))


def level_terms(loss: Loss, model: LaplacianPyramid, number: int) -> list[LossTerm[LevelView]]:
    """Loss_(number + 1): Eq. 6, 7 and 8."""
    reached = frozenset[str](LEVELS[: number + 1])
    finest = number == len(LEVELS) - 1
    terms = [
        LossTerm("similarity", LevelView.similarity, 1.0, reached),
        LossTerm(
            "smoothness",
            lambda view: diffusion(view.level.velocity),
            loss.smoothness / 2 ** (len(LEVELS) - 1 - number),
            reached,
        ),
    ]
    if finest and "core" in model.branches:
        terms.append(LossTerm("core", LevelView.core, loss.core, reached | {"aux"}))
    if not finest and "slices" in model.branches:
        terms.append(LossTerm("slices", LevelView.slices, loss.slices[number], reached | {"aux"}))
    return terms


def _unlike(moving: Tensor, fixed: Tensor, field: Tensor) -> Tensor:
    """1 - the correlation coefficient after warping, (B,): Eq. 4."""
    return 1.0 - global_ncc(fixed, warp(moving, field))
