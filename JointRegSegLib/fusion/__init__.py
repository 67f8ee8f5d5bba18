"""Several opinions on where structures lie, made one."""

from .pooling import Fused, pool

__all__ = ["Fused", "pool"]
