"""What MMLN is built of: networks for one level of the pyramid, for whole images or slice by slice."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from JointRegSegLib.fields import shape_of

CHANNELS = 28

_BLOCKS = 5
_LEAK = 0.2
_DOWN = (16, 32, 32, 32, 32)
_UP = (32, 32, 32)
_HEAD_STD = 1e-5


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
        return _components(self.head, features), features, embedding


class UNetLevel(nn.Module):
    """The paper's other candidate for a level: VoxelMorph's U-Net (Balakrishnan et al., CVPR 2018), with the outputs of
    `LevelNet`, of which only the velocity goes on to the level above: it has no embedding.

    Args:
        inputs, flat: as of `LevelNet`.
    """

    def __init__(self, inputs: int, flat: bool = False) -> None:
        super().__init__()
        across = 1 if flat else 2
        kernel = partial(nn.Conv3d, kernel_size=(2 * across - 1, 3, 3), padding=(across - 1, 1, 1))

        def block(before: int, after: int, stride: tuple[int, int, int] = (1, 1, 1)) -> nn.Sequential:
            return nn.Sequential(kernel(before, after, stride=stride), nn.LeakyReLU(_LEAK))

        self._halved = (across, 2, 2)
        self._divisor = tuple(n ** (len(_DOWN) - 1) for n in self._halved)
        ups = zip((_DOWN[-1], *_UP), _DOWN[-2::-1], (*_UP, CHANNELS), strict=True)
        self.first = block(inputs, _DOWN[0])
        self.down = nn.ModuleList(block(before, after, self._halved) for before, after in pairwise(_DOWN))
        self.up = nn.ModuleList(block(before + skip, after) for before, skip, after in ups)
        self.head = kernel(CHANNELS, 2 if flat else 3)
        nn.init.normal_(self.head.weight, std=_HEAD_STD)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, below: Tensor | None = None) -> tuple[Tensor, Tensor, None]:
        """As `LevelNet.forward`, of inputs of any size and without an embedding."""
        depth, height, width = shape_of(x)
        d, h, w = (-n % divisor for n, divisor in zip(shape_of(x), self._divisor, strict=True))
        skips = [self.first(F.pad(x, (0, w, 0, h, 0, d)))]
        for down in self.down:
            skips.append(down(skips[-1]))
        features = skips.pop()
        for up in self.up:
            finer = F.interpolate(features, scale_factor=[float(n) for n in self._halved], mode="nearest")
            features = up(torch.cat([finer, skips.pop()], 1))
        features = features[..., :depth, :height, :width]
        return _components(self.head, features), features, None


def _components(head: nn.Conv3d, features: Tensor) -> Tensor:
    """-1 to 1, as precisely as the weights are: half precision knows large displacements to half a voxel."""
    with torch.autocast(features.device.type, enabled=False):
        return F.softsign(head(features.to(head.weight.dtype)))
