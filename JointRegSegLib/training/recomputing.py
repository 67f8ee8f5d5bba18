"""Less memory for more time: activations that are computed again in the backward pass instead of kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """The second computation must not count in the running statistics a second time."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counters = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
    counts = [int(counter) for counter in counters]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for counter, count in zip(counters, counts, strict=True):
            counter.fill_(count)
