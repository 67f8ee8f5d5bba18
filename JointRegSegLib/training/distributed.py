"""Several processes that train one model, as torchrun starts them.

Gradients are averaged after the backward pass rather than by DistributedDataParallel's hooks: those need every pass to
go through `forward` and every parameter to get a gradient, while here steps call `register` and `segment`, freeze
groups, and may compute gradients themselves. What is computed is the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """This process's place among those that train together; alone by default, where nothing is exchanged."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, model: nn.Module) -> None:
        """Give all processes the first one's parameters and buffers."""
        if self.size > 1:
            for tensor in (*model.parameters(), *model.buffers()):
                dist.broadcast(tensor.detach(), 0)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """The mean of all processes' gradients; where only some have one, the others count as 0."""
        owned = list(parameters)
        if self.size == 1 or not owned:
            return
        present = torch.tensor([float(p.grad is not None) for p in owned], device=owned[0].device)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in owned]
        flat = torch.cat([present, *(part.flatten() for part in parts)])
        dist.all_reduce(flat)
        present, *parts = flat.split([len(owned), *(p.numel() for p in owned)])
        for p, some, total in zip(owned, present.tolist(), parts, strict=True):
            p.grad = total.view_as(p) / self.size if some else None

    def average_buffers(self, model: nn.Module) -> None:
        """The mean of all processes' running statistics, so that they agree wherever a network is in eval mode."""
        for buffer in model.buffers() if self.size > 1 else ():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= self.size

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any process."""
        if self.size == 1:
            return flag
        flags = torch.tensor([float(flag)], device=device)
        dist.all_reduce(flags)
        return bool(flags.item())

    def from_first(self, value: Any) -> Any:
        """What the first process has."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, 0)
        return values[0]

    def mean(self, value: Tensor) -> float:
        """The mean of one number over all processes."""
        if self.size > 1:
            value = value.detach().clone()
            dist.all_reduce(value)
            value /= self.size
        return float(value)


@contextmanager
def team(device: torch.device) -> Iterator[tuple[Team, torch.device]]:
    """The processes that torchrun started, and the device of this one; this process alone where it started none."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(), device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(dist.get_rank(), size), device
        dist.barrier()  # gloo may abort a process that leaves while another still works
    finally:
        dist.destroy_process_group()
