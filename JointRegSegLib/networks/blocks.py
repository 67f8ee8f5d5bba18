"""Layers that the networks are built of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]

_FLOW_STD = 1e-5


def conv_block(
    inputs: int, outputs: int, stride: int = 1, norm: Norm | None = nn.BatchNorm3d, leak: float = 0.2
) -> nn.Sequential:
    """Convolution of width 3, normalisation where one is given, and leaky ReLU (`leak` 0 is plain ReLU)."""
    layers: list[nn.Module] = [nn.Conv3d(inputs, outputs, 3, stride, padding=1)]
    if norm is not None:
        layers.append(norm(outputs))
    return nn.Sequential(*layers, nn.LeakyReLU(leak, inplace=True))


class FlowHead(nn.Conv3d):
    """Convolution of width 3 to the components of a field; it begins close to zero, as VoxelMorph's does.

    Under autocast too it computes as precisely as its weights are: half precision knows places of a large image to
    half a voxel only.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 3, 3, padding=1)
        nn.init.normal_(self.weight, std=_FLOW_STD)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))
