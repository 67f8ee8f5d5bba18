"""What MMLN is built of: one network for a level of the pyramid, for whole images or slice by slice."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 28

_BLOCKS = 5
_LEAK = 0.2


class ResidualBlock(nn.Module):
    """Two convolutions, each after a leaky ReLU, added to their input."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(F.leaky_relu(x, _LEAK)), _LEAK))


class LevelNet(nn.Module):
    """The network of one level, as LapIRN has it (Mok & Chung, MICCAI 2020); no layer has a bias.

    306,404 parameters with 2 inputs and 308,672 with 5; slice by slice 102,928 and 103,684. Without normalisation it
    begins close to zero, so that a level that has not learnt yet passes on the velocity from below.

    Args:
        inputs: channels of what it sees.
        flat: whether each slice along the first axis is seen by itself; there are two components then, not three.
    """

    def __init__(self, inputs: int, flat: bool = False) -> None:
        super().__init__()
        across = 1 if flat else 2
        kernel = partial(nn.Conv3d, kernel_size=(2 * across - 1, 3, 3), padding=(across - 1, 1, 1), bias=False)
        relu = partial(nn.LeakyReLU, _LEAK)
        blocks = (ResidualBlock(kernel(CHANNELS, CHANNELS), kernel(CHANNELS, CHANNELS)) for _ in range(_BLOCKS))
        self.first = nn.Sequential(kernel(inputs, CHANNELS), relu(), kernel(CHANNELS, CHANNELS))
        self.down = kernel(CHANNELS, CHANNELS, stride=(across, 2, 2))
        self.blocks = nn.Sequential(*(nn.Sequential(block, relu()) for block in blocks))
        self.enlarge = nn.ConvTranspose3d(CHANNELS, CHANNELS, (across, 2, 2), (across, 2, 2), bias=False)
        self.last = nn.Sequential(kernel(2 * CHANNELS, CHANNELS), relu())
        self.head = kernel(CHANNELS, 2 if flat else 3)

    def forward(self, x: Tensor, below: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Of inputs whose sides 2 divides and, where there is a level below, its embedding on half the grid.

        Returns: the components, -1 to 1; the last features before them; the embedding for the level above. The last
        two have 28 channels, and all three have the grid of the inputs.
        """
        fine = self.first(x)
        coarse = self.down(fine)
        embedding = self.enlarge(self.blocks(coarse if below is None else coarse + below))
        features = self.last(torch.cat([embedding, fine], 1))
        with torch.autocast(x.device.type, enabled=False):  # half precision knows large displacements to half a voxel
            components = F.softsign(self.head(features.to(self.head.weight.dtype)))
        return components, features, embedding
