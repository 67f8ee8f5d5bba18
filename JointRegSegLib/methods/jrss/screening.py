"""Which of the teacher's labels the networks may learn from (JRSS, Shi et al., BSPC 2023, Eq. 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from JointRegSegLib.training.targets import IGNORED


def pseudo_labels(probabilities: Tensor, tau: float | None) -> Tensor:
    """The most probable classes, without those that are not sure.

    A voxel is kept where the probability of its class is above `tau`. A scan is accepted where every structure has
    that probability somewhere; of others nothing is kept.

    Args:
        probabilities: (1, K, D, H, W), background at 0.
        tau: None to keep everything.

    Returns: (1, 1, D, H, W) int16, `IGNORED` where nothing is kept.
    """
    confidence, labels = probabilities.max(1, keepdim=True)
    if tau is not None:
        available = (probabilities[:, 1:] > tau).flatten(2).any(2)
        labels = torch.where((confidence > tau) & available.all(), labels, IGNORED)
    return labels.to(torch.int16)


def is_accepted(labels: Tensor) -> bool:
    """Whether anything of a scan's pseudo-labels was kept."""
    return bool((labels != IGNORED).any())
