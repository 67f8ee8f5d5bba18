"""Which parameters a loss can change: the harness behind the methods' tables of gradient reach."""

from __future__ import annotations

import torch
from torch import Tensor

from .joint import Group, JointModel


def reached_groups(loss: Tensor, model: JointModel) -> set[Group]:
    """The groups of the model in which the gradient of a scalar loss is anywhere other than zero.

    Frozen parameters count as not reached. The graph is kept, so that several losses of one pass can be asked.
    """
    if not loss.requires_grad:
        return set()
    owners = [(name, p) for name, parameters in model.groups().items() for p in parameters if p.requires_grad]
    gradients = torch.autograd.grad(loss, [p for _, p in owners], retain_graph=True, allow_unused=True)
    return {name for (name, _), g in zip(owners, gradients, strict=True) if g is not None and bool(g.any())}
