"""Less memory for more time: activations that are computed again in the backward pass instead of kept."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute_activations(model: nn.Module) -> None:
    """Make every innermost block of at least two layers with parameters keep its input alone.

    The outputs, the gradients and the running statistics of batch norms stay what they are.
    """
    for block in list(model.modules()):
        if _is_block(block):
            block.forward = partial(_recomputed, block, block.forward)


def _is_block(module: nn.Module) -> bool:
    layers = [child for child in module.children() if next(child.parameters(), None) is not None]
    return len(layers) > 1 and not any(list(layer.children()) for layer in layers)


def _recomputed(block: nn.Module, forward: Any, *inputs: Any, **options: Any) -> Any:
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_contexts, block), **options)


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), _StatisticsKept(block)


class _StatisticsKept(AbstractContextManager[None]):
    """A further computation must not count in the running statistics again; there is one for each backward pass."""

    def __init__(self, block: nn.Module) -> None:
        self._norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]

    def __enter__(self) -> None:
        self._momenta = [norm.momentum for norm in self._norms]
        self._counts = [None if n.num_batches_tracked is None else int(n.num_batches_tracked) for n in self._norms]
        for norm in self._norms:
            norm.momentum = 0.0

    def __exit__(self, *problem: object) -> None:
        for norm, momentum, count in zip(self._norms, self._momenta, self._counts, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and count is not None:
                norm.num_batches_tracked.fill_(count)
