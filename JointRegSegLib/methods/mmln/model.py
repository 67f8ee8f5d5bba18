"""The model of MMLN (Zheng et al., Neurocomputing 2022): a velocity field from coarse to fine, and what trains it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from JointRegSegLib.fields import Shape, exponential, resize_field, resize_image, shape_of, warp
from JointRegSegLib.networks import BOTH, Capability, Group, InputSpec, Intensity, JointModel, JointOutput, Task

from .layers import CHANNELS, LevelNet, UNetLevel
from .settings import Branch, CoreWeights, Coupling, Plane, Settings, Subnet

LEVELS: tuple[Group, Group, Group] = ("level1", "level2", "level3")
"""Coarse to fine."""

_PAIR, _WITH_VELOCITY = 2, 5
_RANGE = 0.4
_AXES: dict[Plane, int] = {"axial": 2, "coronal": 3, "sagittal": 4}
"""The tensor axis along which slices follow one another."""


@dataclass(frozen=True)
class Level:
    """What is known at one level of the pyramid, on its grid of d, h, w voxels.

    Attributes:
        moving, fixed: the images (B, 1, d, h, w).
        start: the velocity from below (B, 3, d, h, w); zero at the coarsest level.
        inputs: what its network sees: both images; above the coarsest level the warped moving image, the fixed one, and
            `start` in shares of half the grid.
        below: the embedding of the level below on its grid (B, 28, ...), or None.
        velocity, field: (B, 3, d, h, w) in voxels of the level, and per unit of time.
        features: (B, 28, d, h, w), the network's last ones.
        embedding: likewise, what it hands to the level above; None of a U-Net.
    """

    moving: Tensor
    fixed: Tensor
    start: Tensor
    inputs: Tensor
    below: Tensor | None
    velocity: Tensor
    field: Tensor
    features: Tensor
    embedding: Tensor | None


class LaplacianPyramid(JointModel):
    """Three levels on 1/4, 1/2 and the whole of the grid; each adds to the velocity from below.

    It has no segmentation. The branches teach and are not used otherwise. 923,748 parameters without them, of LapIRN's
    networks.

    Args:
        branches, planes, coupling, core_weights, intensity, subnet: as in `settings.Model`.
    """

    capabilities = frozenset[Capability]({"field"})

    def __init__(
        self,
        branches: Collection[Branch] = ("slices", "core"),
        planes: Sequence[Plane] = ("axial",),
        coupling: Coupling = "input",
        core_weights: CoreWeights = "shared",
        intensity: Intensity = "minmax",
        subnet: Subnet = "lapirn",
    ) -> None:
        super().__init__()
        self.branches, self.planes, self.coupling = frozenset(branches), tuple(planes), coupling
        inputs = (_PAIR, _WITH_VELOCITY, _WITH_VELOCITY)
        net = LevelNet if subnet == "lapirn" else UNetLevel
        self.levels = nn.ModuleList(net(channels) for channels in inputs)
        more = CHANNELS if coupling == "feature" else 0
        sliced = inputs[:2] if "slices" in self.branches else ()
        self.slice_nets = nn.ModuleList(net(channels + more, flat=True) for channels in sliced)
        owns = "core" in self.branches and core_weights == "own"
        self.core_net = net(_WITH_VELOCITY) if owns else None
        self.input_spec = InputSpec(2 ** len(LEVELS), intensity=intensity)

    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        if "reg" not in tasks:
            return JointOutput()
        levels = self.climb(moving, fixed, len(LEVELS))
        return JointOutput(field=levels[-1].field, velocity=levels[-1].velocity, pyramid=tuple(levels))

    def climb(self, moving: Tensor, fixed: Tensor, height: int) -> list[Level]:
        """The `height` coarsest levels of images (B, 1, D, H, W) of any size, on a grid whose sides 8 divides."""
        scans = zip(_pyramid(self._padded(moving)), _pyramid(self._padded(fixed)), strict=True)
        levels: list[Level] = []
        for net, (m, f) in zip(self.levels[:height], scans, strict=False):
            levels.append(_level(net, m, f, levels[-1] if levels else None))
        return levels

    def slice_fields(self, number: int, level: Level) -> list[Tensor]:
        """The fields phi' of level 0 or 1 (B, 3, d, h, w) in voxels, one from the slices of each plane."""
        seen = torch.cat([level.inputs, level.features], 1) if self.coupling == "feature" else level.inputs
        return [exponential(self._slice_velocity(self.slice_nets[number], seen, level, plane)) for plane in self.planes]

    def core(self, level: Level) -> tuple[Tensor, Tensor, Tensor]:
        """Of the finest level the middle of both images and the field between them, of a registration of its own."""
        moving, fixed, inputs, start = map(middle, (level.moving, level.fixed, level.inputs, level.start))
        below = None if level.below is None else middle(level.below)
        net = self.levels[-1] if self.core_net is None else self.core_net
        components, _, _ = net(inputs, below)
        return moving, fixed, exponential(start + components * _RANGE * _half(shape_of(level.fixed), components))

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        groups = {name: list(net.parameters()) for name, net in zip(LEVELS, self.levels, strict=True)}
        own = [] if self.core_net is None else list(self.core_net.parameters())
        branches = [*self.slice_nets.parameters(), *own]
        return {**groups, "aux": branches} if branches else groups

    def strip_training_branches(self) -> None:
        """Drop the branches' networks; the fields stay what they are, to the bit."""
        self.slice_nets, self.core_net = nn.ModuleList(), None

    def _slice_velocity(self, net: nn.Module, seen: Tensor, level: Level, plane: Plane) -> Tensor:
        """v' (B, 3, d, h, w) in voxels per unit of time, whose component across the slices is what it is added to."""
        axis = _AXES[plane]
        components, _, _ = net(seen.movedim(axis, 2))
        found = components.movedim(2, axis)
        across = torch.zeros_like(found[:, :1])
        before, after = found.split([axis - 2, 4 - axis], 1)
        own = torch.cat([before, across, after], 1) * _RANGE * _half(shape_of(seen), found)
        if self.coupling == "residual":
            return level.velocity + own
        start = level.start.clone()
        start[:, axis - 2] = 0
        return start + own


def middle(x: Tensor) -> Tensor:
    """The central half of each side of (B, C, D, H, W), whose sides 4 divides."""
    for axis, n in zip((2, 3, 4), shape_of(x), strict=True):
        x = x.narrow(axis, n // 4, n // 2)
    return x


def build(settings: Settings, classes: int) -> LaplacianPyramid:
    """The untrained model; it knows no classes."""
    del classes
    m = settings.model
    return LaplacianPyramid(m.branches, m.planes, m.coupling, m.core_weights, m.intensity, m.subnet)


def _level(net: nn.Module, moving: Tensor, fixed: Tensor, below: Level | None) -> Level:
    """The level above `below`; the coarsest where that is None."""
    shape = shape_of(fixed)
    half = _half(shape, fixed)
    if below is None:
        start = fixed.new_zeros(fixed.shape[0], 3, *shape)
        inputs, embedding = torch.cat([moving, fixed], 1), None
    else:
        start, embedding = resize_field(below.velocity, shape), below.embedding
        inputs = torch.cat([warp(moving, resize_field(below.field, shape)), fixed, start / half], 1)
    components, features, own = net(inputs, embedding)
    velocity = start + components * _RANGE * half
    return Level(moving, fixed, start, inputs, embedding, velocity, exponential(velocity), features, own)


def _pyramid(image: Tensor) -> list[Tensor]:
    """The image at 1/4, 1/2 and 1/1 of its grid, by linear interpolation."""
    images = [image]
    for _ in LEVELS[1:]:
        depth, height, width = (n // 2 for n in shape_of(images[0]))
        images.insert(0, resize_image(images[0], (depth, height, width)))
    return images


def _half(shape: Shape, like: Tensor) -> Tensor:
    """Half of a grid's sides in voxels, (1, 3, 1, 1, 1)."""
    return ((like.new_tensor(shape) - 1) / 2).view(1, 3, 1, 1, 1)
