"""What every joint model has to hold, and the smallest networks that can stand in one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from JointRegSegLib.networks import Backbone, JointModel


class SmallReg(Backbone):
    """A field from two images by one convolution on half the grid."""

    divisor = 2

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv3d(2, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose3d(4, 3, 2, stride=2)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        return self.up(self.down(torch.cat([moving, fixed], 1)))


class SmallSeg(Backbone):
    """Logits of three classes by one convolution on a quarter of the grid."""

    divisor = 4

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv3d(1, 4, 4, stride=4)
        self.up = nn.ConvTranspose3d(4, 3, 4, stride=4)

    def forward(self, image: Tensor) -> Tensor:
        return self.up(self.down(image))


def check_groups(model: JointModel) -> None:
    """Every parameter of the model is in exactly one group."""
    grouped = [id(p) for parameters in model.groups().values() for p in parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters()}
