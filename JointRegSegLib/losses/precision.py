"""Losses in single precision, whatever precision the network computes in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")

_HALF = (torch.float16, torch.bfloat16)


def in_single_precision(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A loss that computes in float32 under autocast too; float64 stays.

    Half precision ends at 65504, less than a sum over the voxels of a scan or a product of two windows' variances.
    """

    @wraps(loss)
    def compute(*args: Any, **kwargs: Any) -> Tensor:
        first = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        with torch.autocast(first.device.type, enabled=False):
            return loss(*map(_widened, args), **{name: _widened(value) for name, value in kwargs.items()})

    return compute


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _HALF else value
