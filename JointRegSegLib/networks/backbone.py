"""What every network of one task is."""

from __future__ import annotations

from typing import ClassVar

from torch import nn


class Backbone(nn.Module):
    """A network that computes a field from two images, or logits from one; it halves its grid a few times.

    Attributes:
        divisor: what the sides (D, H, W) of its input must be divisible by.
    """

    divisor: ClassVar[int]
