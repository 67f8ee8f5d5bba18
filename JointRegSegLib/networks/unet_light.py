"""The segmentation network of DeepAtlas (Xu & Niethammer, MICCAI 2019)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import Backbone
from .blocks import conv_block

_LEAK = 0.01


class UNetLight(Backbone):
    """A small U-Net with batch normalisation, down to 1/8 of the grid; 874,864 parameters for 32 classes.

    Args:
        classes: K, background included.
        dropout: share of channels dropped in training at the ends of the way down and of the way up.
    """

    divisor = 8

    def __init__(self, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        block = partial(conv_block, leak=_LEAK)
        self.down = nn.ModuleList(
            nn.Sequential(block(a, b), block(b, c))
            for a, b, c in ((1, 8, 16), (16, 16, 32), (32, 32, 64), (64, 64, 64))
        )
        self.enlarge = nn.ModuleList(_enlarge(n) for n in (64, 64, 32))
        self.up = nn.ModuleList(
            nn.Sequential(block(a, b), block(b, b)) for a, b in ((64 + 64, 64), (64 + 32, 32), (32 + 16, 16))
        )
        self.drop = nn.Dropout3d(dropout)
        self.head = nn.Conv3d(16, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K, D, H, W) of an image (B, 1, D, H, W)."""
        x = self.down[0](image)
        skips = [x]
        for down in self.down[1:]:
            x = down(F.max_pool3d(x, 2))
            skips.append(x)
        x = self.drop(skips.pop())
        for enlarge, up in zip(self.enlarge, self.up, strict=True):
            x = up(torch.cat([enlarge(x), skips.pop()], 1))
        return self.head(self.drop(x))


def _enlarge(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose3d(channels, channels, 2, stride=2),
        nn.BatchNorm3d(channels),
        nn.LeakyReLU(_LEAK, inplace=True),
    )
