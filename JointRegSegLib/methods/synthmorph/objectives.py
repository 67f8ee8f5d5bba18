"""What SynthMorph minimises (Hoffmann et al., TMI 2022, Eq. 3 to 5): overlap of labels and smoothness, never images."""

from __future__ import annotations

import torch
from torch import Tensor

from JointRegSegLib.fields import warp
from JointRegSegLib.losses import diffusion, soft_dice
from JointRegSegLib.training.targets import one_hot
from JointRegSegLib.training.terms import LossTerm
from JointRegSegLib.training.views import RegisteredPairs

from .settings import Loss


class LabelledPairs(RegisteredPairs):
    """Synthetic pairs (moving, fixed) with the labels that they were made of."""

    def overlap(self) -> Tensor:
        """1 - soft Dice of the warped and the fixed structures, (B,); absent ones do not count."""
        moving, fixed = self._batch.labels(0), self._batch.labels(1)
        assert moving is not None
        assert fixed is not None
        # Channels of absent structures would be warped for nothing.
        present, dense = torch.unique(torch.stack([moving, fixed]), return_inverse=True)
        ours, theirs = (one_hot(labels, len(present))[:, int(present[0] == 0) :] for labels in dense)
        return soft_dice(warp(ours, self.field), theirs)


def terms(loss: Loss) -> list[LossTerm[LabelledPairs]]:
    """The objective."""
    reg = frozenset({"reg"})
    return [
        LossTerm("overlap", LabelledPairs.overlap, 1.0, reg),
        LossTerm("smoothness", lambda view: diffusion(view.field), loss.smoothness, reg),
    ]
