"""The registration network of DeepAtlas: VoxelMorph as first published (Balakrishnan et al., CVPR 2018)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from JointRegSegLib.fields import shape_of

from .backbone import Backbone
from .blocks import FlowHead, conv_block

_LEAK = 0.2


class VoxelMorph(Backbone):
    """A U-Net on both images at once: down to 1/16 of their grid, up again, and one convolution to the field.

    253,627 parameters; no normalisation, nearest neighbour upwards. Its last layer speaks of shares of half the
    image, as in DeepAtlas (Xu & Niethammer, MICCAI 2019).

    Args:
        leaky: with leaky ReLUs of 0.2 and He's start, as VoxelMorph's later code, instead of plain ReLUs and PyTorch's
            start, by which features fade from layer to layer and many die before any is of use.
    """

    divisor = 16

    def __init__(self, leaky: bool = False) -> None:
        super().__init__()
        block = partial(conv_block, norm=None, leak=_LEAK if leaky else 0.0)
        self.down = nn.ModuleList([block(2, 16), block(16, 32, 2), block(32, 32, 2), block(32, 32, 2)])
        self.bottom = nn.Sequential(block(32, 32, 2), block(32, 32))
        self.up = nn.ModuleList([block(64, 32), block(64, 32), nn.Sequential(block(64, 8), block(8, 8))])
        self.head = FlowHead(24)
        if leaky:
            for layer in self.modules():
                if isinstance(layer, nn.Conv3d) and not isinstance(layer, FlowHead):
                    nn.init.kaiming_normal_(layer.weight, _LEAK)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """The field u (B, 3, D, H, W) in voxels of two images (B, 1, D, H, W)."""
        x = torch.cat([moving, fixed], 1)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.bottom(x)
        for up in self.up:
            x = up(_joined(x, skips.pop()))
        half = (x.new_tensor(shape_of(fixed)) - 1) / 2
        return self.head(_joined(x, skips.pop())) * half.view(1, 3, 1, 1, 1)


def _joined(x: Tensor, skip: Tensor) -> Tensor:
    return torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], 1)
