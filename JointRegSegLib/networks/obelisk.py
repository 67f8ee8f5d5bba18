"""Hybrid obelisk networks, the backbones of JRSS (Shi et al., BSPC 2023).

An obelisk layer reads the image at places that it learns itself, anywhere around a voxel, so that few parameters see
far (Heinrich et al., Med Image Anal 2019).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from JointRegSegLib.fields import Shape, identity, sample, shape_of

from .backbone import Backbone
from .blocks import FlowHead, conv_block

_WIDTH = 128
_GROWTH = 32
_SPREAD = 0.05
_REG_CHANNELS = 16


class ObeliskLayer(nn.Module):
    """Samples of an image around the points of a coarse grid, and a dense network of 1x1x1 convolutions on them.

    Args:
        inputs: channels of the image.
        offsets: how many samples to take around each point.
        groups: of the first convolution.
        outputs: channels that come out.
        shrink: how much coarser the grid is than the image, along D, H, W; their corner voxels coincide.
        leak: slope of the leaky ReLU.
    """

    def __init__(self, inputs: int, offsets: int, groups: int, outputs: int, shrink: Shape, leak: float) -> None:
        super().__init__()
        self.shrink, self.leak = shrink, leak
        self.offsets = nn.Parameter(_SPREAD * torch.randn(offsets, 3))
        """Along D, H, W, where the image reaches from -1 to 1."""
        self.first = nn.Conv3d(inputs * offsets, _WIDTH, 1, groups=groups, bias=False)
        widths = [_WIDTH + i * _GROWTH for i in range(4)]
        self.norms = nn.ModuleList(nn.BatchNorm3d(n) for n in widths)
        grown = [_GROWTH] * 3 + [outputs]
        self.convs = nn.ModuleList(nn.Conv3d(n, out, 1, bias=False) for n, out in zip(widths, grown, strict=True))

    def forward(self, image: Tensor) -> Tensor:
        """(B, outputs, d, h, w) on the coarse grid from an image (B, inputs, D, H, W)."""
        x = F.leaky_relu(self.first(self.sampled(image)), self.leak)
        for i, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True), start=1):
            new = F.leaky_relu(conv(norm(x)), self.leak)
            x = torch.cat([x, new], 1) if i < len(self.convs) else new
        return x

    def sampled(self, image: Tensor) -> Tensor:
        """(B, inputs * offsets, d, h, w), zero beyond the image."""
        size = shape_of(image)
        depth, height, width = (n // s for n, s in zip(size, self.shrink, strict=True))
        span = image.new_tensor(size) - 1
        steps = span / (image.new_tensor((depth, height, width)) - 1).clamp(min=1)
        points = identity((depth, height, width), image).flatten(2) * steps.view(3, 1)
        places = points[:, :, None] + (self.offsets * span / 2).T[None, :, :, None]
        # The places are the same for each image of a batch: as channels they share the work of finding neighbours.
        found = sample(image.flatten(0, 1)[None], places[..., None], padding="zeros")
        return found.view(len(image), -1, depth, height, width)


class _Hybrid(nn.Module):
    """A convolutional network with an obelisk layer plugged in at 1/4 and at 1/8, up to its features at full size."""

    def __init__(self, inputs: int, outputs: int, dropout: float, leak: float, legacy_grid: bool) -> None:
        super().__init__()
        deep = (8, 4, 8) if legacy_grid else (8, 8, 8)
        self.down_full = conv_block(inputs, 4, leak=leak)
        self.down_half = nn.Sequential(conv_block(4, 16, 2, leak=leak), conv_block(16, 16, leak=leak))
        self.down_quarter = nn.Sequential(
            conv_block(16, 32, 2, leak=leak),
            conv_block(32, 32, leak=leak),
            conv_block(32, 32, leak=leak),
            nn.Dropout3d(dropout),
        )
        self.deep = ObeliskLayer(inputs, 512, 4, 32, deep, leak)
        self.shallow = ObeliskLayer(inputs, 128, 2, 16, (4, 4, 4), leak)
        self.up_quarter = conv_block(32 + 32, 32, leak=leak)
        self.up_half = conv_block(32 + 16 + 16, 12, leak=leak)
        self.up_full = nn.Sequential(conv_block(12 + 4, outputs, leak=leak), nn.Dropout3d(dropout))

    def forward(self, image: Tensor) -> Tensor:
        full = self.down_full(image)
        half = self.down_half(full)
        quarter = self.down_quarter(half)
        smooth = F.avg_pool3d(image, 3, stride=1, padding=1)
        smoother = F.avg_pool3d(smooth, 3, stride=1, padding=1)
        x = self.up_quarter(torch.cat([quarter, _enlarged(self.deep(smoother), quarter)], 1))
        x = self.up_half(torch.cat([_enlarged(x, half), _enlarged(self.shallow(smooth), half), half], 1))
        return self.up_full(torch.cat([_enlarged(x, full), full], 1))


class ObeliskSegmentation(Backbone):
    """Logits of an image; 229,217 parameters for 9 classes.

    Args:
        classes: K, background included.
        dropout: share of channels dropped in training at the ends of the way down and of the way up.
        leak: slope of the leaky ReLU; 0.2 in the paper, 0.025 in its public code.
        legacy_grid: the deep grid as in the public code and its weights, 1/8 along D and W but 1/4 along H.
    """

    divisor = 8

    def __init__(self, classes: int, dropout: float = 0.0, leak: float = 0.2, legacy_grid: bool = False) -> None:
        super().__init__()
        self.body = _Hybrid(1, classes, dropout, leak, legacy_grid)
        self.head = nn.Conv3d(classes, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.xavier_normal_(module.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, K, D, H, W) of an image (B, 1, D, H, W)."""
        return self.head(self.body(image))


class ObeliskRegistration(Backbone):
    """The field of two images; 258,155 parameters.

    Args:
        leak, legacy_grid: as for `ObeliskSegmentation`.
    """

    divisor = 8

    def __init__(self, leak: float = 0.2, legacy_grid: bool = False) -> None:
        super().__init__()
        self.body = _Hybrid(2, _REG_CHANNELS, 0.0, leak, legacy_grid)
        self.head = FlowHead(_REG_CHANNELS)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """The field u (B, 3, D, H, W) in voxels of two images (B, 1, D, H, W)."""
        return self.head(self.body(torch.cat([moving, fixed], 1)))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=shape_of(like), mode="trilinear", align_corners=False)
