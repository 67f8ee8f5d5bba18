"""What PGCNet is built of: encoder, position correlation, field estimators, segmentation decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise, product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from JointRegSegLib.fields import Shape, resize_image, shape_of
from JointRegSegLib.networks import FlowHead, conv_block

from .settings import Correlation, Position

CHANNELS = (64, 32, 16, 8)
"""Of the features, from the coarsest level, 1/8 of the grid, to the finest."""

DIVISOR = 2 ** (len(CHANNELS) - 1)

_BLOCKS = (5, 5, 3, 0)
_RADIUS = 1
_norm = partial(nn.InstanceNorm3d, affine=True)
_block = partial(conv_block, norm=_norm)


class ResidualBlock(nn.Module):
    """Two convolutions, each after normalisation and leaky ReLU, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = _norm(channels), _norm(channels)
        self.first, self.second = (nn.Conv3d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.first(F.leaky_relu(self.first_norm(x), 0.2))
        return x + self.second(F.leaky_relu(self.second_norm(inner), 0.2))


class Encoder(nn.Module):
    """Features of an image at four levels; 1,500,192 parameters."""

    def __init__(self) -> None:
        super().__init__()
        fine_to_coarse = list(zip(CHANNELS, _BLOCKS, strict=True))[::-1]
        before = [1, *(channels for channels, _ in fine_to_coarse)]
        self.levels = nn.ModuleList(
            nn.Sequential(_block(inputs, channels, 1 if inputs == 1 else 2), *_residual(channels, blocks))
            for inputs, (channels, blocks) in zip(before, fine_to_coarse, strict=False)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """From an image (B, 1, D, H, W) its features at 1/8, 1/4, 1/2 and 1/1 of the grid, 64 to 8 channels."""
        features = [image]
        for level in self.levels:
            features.append(level(features[-1]))
        return features[:0:-1]


class PositionMap(nn.Module):
    """A learnt number for each channel and place, zero at first, that is added to features of one shape.

    It has no numbers, and adds nothing, until it is laid out for a shape or takes up weights that were.
    """

    def __init__(self, channels: int, axial: bool) -> None:
        super().__init__()
        self._channels, self._axial = channels, axial
        self.tables = nn.ParameterList()

    def lay_out(self, shape: Shape, device: torch.device) -> None:
        """Begin with zeros for features of this shape: a number for each place, or for each place along each axis."""
        depth, height, width = shape
        sizes = [(depth, 1, 1), (1, height, 1), (1, 1, width)] if self._axial else [shape]
        self._hold([(1, self._channels, *size) for size in sizes], device)

    def forward(self, features: Tensor) -> Tensor:
        """The features (B, C, d, h, w) with the map added; one that was laid out for another shape is stretched."""
        for table in self.tables:
            d, h, w = (1 if m == 1 else n for m, n in zip(shape_of(table), shape_of(features), strict=True))
            features = features + resize_image(table, (d, h, w))
        return features

    def _hold(self, shapes: list[tuple[int, ...]], device: torch.device) -> None:
        self.tables = nn.ParameterList(torch.zeros(shape, device=device) for shape in shapes)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        if not self.tables:
            found = [tensor for name, tensor in state_dict.items() if name.startswith(f"{prefix}tables.")]
            if found:
                self._hold([tuple(tensor.shape) for tensor in found], found[0].device)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class FieldEstimator(nn.Module):
    """Displacements of one level from the position correlation of its features; one for the field and its inverse."""

    def __init__(self, channels: int, position: Position, measure: Correlation) -> None:
        super().__init__()
        self._measure: Correlation = measure
        self.position = None if position == "none" else PositionMap(channels, position == "axial")
        self.net = nn.Sequential(_block((2 * _RADIUS + 1) ** 3, channels), *_residual(channels, 3), FlowHead(channels))

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Displacements (B, 3, d, h, w) in voxels between features (B, C, d, h, w)."""
        if self.position is not None:
            moving, fixed = self.position(moving), self.position(fixed)
        displacements: Tensor = self.net(correlation(moving, fixed, measure=self._measure))
        return displacements


class SegmentationDecoder(nn.Module):
    """Logits from features at four levels; 182,100 parameters for 36 classes and two views.

    Args:
        classes: K.
        views: of each finer level: the scan's own features, and with 2 the other scan's as well.
        channels: of the features at its levels, coarse to fine.
    """

    def __init__(self, classes: int, views: int, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(_block(coarser + views * own, own), _block(own, own)) for coarser, own in pairwise(channels)
        )
        self.head = nn.Conv3d(channels[-1], classes, 1)

    def finer(self, level: int, coarser: Tensor, *views: Tensor) -> Tensor:
        """State of finer level 0, 1 or 2 from the one before and from features of the level."""
        state: Tensor = self.levels[level](torch.cat([resize_image(coarser, shape_of(views[0])), *views], 1))
        return state


def correlation(a: Tensor, b: Tensor, radius: int = _RADIUS, measure: Correlation = "mean") -> Tensor:
    """Mean or sum over channels of a(p) b(p + d), a channel for each offset d of up to `radius` along each axis.

    PGCNet (Tan et al., MICCAI 2023), Eq. 1, which prints the sum over the offsets; beyond the features are zeros.

    Args:
        a, b: (B, C, D, H, W).
        radius: 1 gives 27 channels, 2 gives 125; the middle one is that of no offset.
        measure: over the channels.

    Returns: (B, (2 radius + 1)^3, D, H, W).
    """
    found: Tensor = _Products.apply(a, b, radius)
    return found / a.shape[1] if measure == "mean" else found


class _Products(torch.autograd.Function):
    """Sums over channels of a(p) b(p + d): what autograd would do, without a copy of the features for each offset d."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, radius: int) -> Tensor:
        padded = F.pad(b, (radius,) * 6)
        ctx.save_for_backward(a, padded)
        ctx.radius = radius
        return torch.stack([(a * padded[part]).sum(1) for part in _offsets(a, radius)], 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        kept = ctx.saved_tensors
        # In single precision, where features are in half: 27 numbers are added up.
        a, padded, grad = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (*kept, *grads))
        of_a, of_padded = torch.zeros_like(a), torch.zeros_like(padded)
        for channel, part in enumerate(_offsets(a, ctx.radius)):
            of_a.addcmul_(grad[:, channel : channel + 1], padded[part])
            of_padded[part].addcmul_(grad[:, channel : channel + 1], a)
        of_b = F.pad(of_padded, (-ctx.radius,) * 6)
        return of_a.to(kept[0].dtype), of_b.to(kept[1].dtype), None


def _offsets(features: Tensor, radius: int) -> Iterator[tuple[Any, ...]]:
    """Where padded features are those at each offset."""
    for offset in product(range(2 * radius + 1), repeat=3):
        yield (..., *(slice(first, first + n) for first, n in zip(offset, shape_of(features), strict=True)))


def _residual(channels: int, blocks: int) -> list[ResidualBlock]:
    return [ResidualBlock(channels) for _ in range(blocks)]
