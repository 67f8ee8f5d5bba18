"""A teacher that is the running mean of its student (mean teacher, Tarvainen & Valpola, NIPS 2017)."""

from __future__ import annotations

import torch
from torch import nn


class MeanTeacher:
    """An exponential moving average of a network.

    Attributes:
        network: the average; no gradient reaches it.
        updates: how often it followed.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Make a network the mean of another that is built alike; up to `decay` of it stays at each update."""
        self.network = network.requires_grad_(False).eval()
        self.updates = 0
        self._decay = decay

    @torch.no_grad()
    def follow(self, student: nn.Module) -> None:
        """Keep min(1 - 1 / (t + 1), decay) of what was, at the update t = 0, 1, ...; buffers are copied."""
        keep = min(1 - 1 / (self.updates + 1), self._decay)
        for mine, theirs in zip(self.network.parameters(), student.parameters(), strict=True):
            mine.mul_(keep).add_(theirs, alpha=1 - keep)
        for buffer, its in zip(self.network.buffers(), student.buffers(), strict=True):
            buffer.copy_(its)
        self.updates += 1
