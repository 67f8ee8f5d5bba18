"""A teacher that is the running mean of its student (mean teacher, Tarvainen & Valpola, NIPS 2017)."""

from __future__ import annotations

import copy
from typing import Any, Generic, TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


class MeanTeacher(Generic[Network]):
    """An exponential moving average of a network, which no gradient ever reaches.

    Attributes:
        network: the average; in eval mode, with the student's buffers.
        updates: how often it followed.
    """

    def __init__(self, student: Network, decay: float) -> None:
        """Begin as a copy of the student; keep up to `decay` of what was at each update."""
        self.network = copy.deepcopy(student).requires_grad_(False).eval()
        self.updates = 0
        self._decay = decay

    @torch.no_grad()
    def follow(self, student: Network) -> None:
        """Keep min(1 - 1 / (t + 1), decay) of what was, at the update t = 0, 1, ...; buffers are copied."""
        keep = min(1 - 1 / (self.updates + 1), self._decay)
        for mine, theirs in zip(self.network.parameters(), student.parameters(), strict=True):
            mine.mul_(keep).add_(theirs, alpha=1 - keep)
        for buffer, its in zip(self.network.buffers(), student.buffers(), strict=True):
            buffer.copy_(its)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """The average and the number of updates."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]
