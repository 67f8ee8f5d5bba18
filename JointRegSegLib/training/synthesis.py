"""Images made of label maps: every structure gets a random intensity, so that no contrast can be learnt by heart.

As SynthMorph makes them (Hoffmann et al., TMI 2022, section III-B): a random diffeomorphism moves the labels, an
intensity is drawn for each, then come noise, blur, thick slices, a bias field and a gamma. Lengths are in mm, so that a
configuration means the same on any grid. Whatever is random comes from the generator that is given, which is on the
CPU; the results are where the labels are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from JointRegSegLib.fields import Shape, coarsened, exponential, gaussian, resize_image, shape_of, warp

from .ranges import Count, Positive, Share, Weight


@dataclass(frozen=True)
class Synthesis:
    """How images differ.

    Attributes:
        warp: the largest standard deviation of the velocities, mm; one is drawn up to it for each of `warp_scales`.
        warp_scales: mm between the nodes of the random velocities, which are added.
        means: between which the mean intensity of each structure is drawn.
        deviations: between which the standard deviation of the noise in each structure is drawn.
        blur: the largest standard deviation of the blur, mm.
        thickness: the thickest slices, mm, along an axis that is drawn; slices that are not above the grid's spacing
            change nothing.
        bias: the largest standard deviation of the bias field's logarithm.
        bias_scale: mm between the nodes of the bias field.
        gamma: the standard deviation of the logarithm of gamma.
        blank: the share of images whose background is 0 all over, as where it was masked.
        strip: the share of pairs in which what lies `outside` is background.
        outside: label values around what is to be registered: skin, skull.
    """

    warp: Weight
    warp_scales: tuple[Positive, ...]
    means: tuple[Weight, Weight]
    deviations: tuple[Weight, Weight]
    blur: Weight
    thickness: Weight
    bias: Weight
    bias_scale: Positive
    gamma: Weight
    blank: Share
    strip: Share
    outside: tuple[Count, ...]


def smooth_noise(
    shape: Shape, spacing: Sequence[float], scale: float, channels: int, random: torch.Generator
) -> Tensor:
    """Normal numbers on nodes `scale` mm apart, linear between them, (1, channels, D, H, W).

    Args:
        shape: (D, H, W).
        spacing: mm of a voxel along (x, y, z).
        scale: mm.
        channels: how many, independent of one another.
        random: what to draw from.
    """
    nodes = [max(round((n - 1) * mm / scale), 1) + 1 for n, mm in zip(shape, reversed(spacing), strict=True)]
    return resize_image(torch.randn(1, channels, *nodes, generator=random), shape)


def random_deformation(shape: Shape, spacing: Sequence[float], how: Synthesis, random: torch.Generator) -> Tensor:
    """A diffeomorphic displacement (1, 3, D, H, W) in voxels, the exponential of a random velocity."""
    velocity = torch.zeros(1, 3, *shape)
    for scale in how.warp_scales:
        deviation = uniform((0.0, how.warp), 1, random)
        velocity += deviation * smooth_noise(shape, spacing, scale, 3, random)
    return exponential(velocity / torch.tensor([*reversed(spacing)]).view(1, 3, 1, 1, 1))


def deformed(labels: Tensor, spacing: Sequence[float], how: Synthesis, random: torch.Generator) -> Tensor:
    """Classes (1, 1, D, H, W), moved by a random deformation: nearest."""
    field = random_deformation(shape_of(labels), spacing, how, random).to(labels.device)
    return warp(labels.float(), field, "nearest").to(labels.dtype)


def without(labels: Tensor, classes: Collection[int]) -> Tensor:
    """Classes (1, 1, D, H, W) of which some have become background."""
    return labels.masked_fill(torch.isin(labels, labels.new_tensor(sorted(classes))), 0)


def synthesised(
    labels: Tensor, classes: int, spacing: Sequence[float], how: Synthesis, random: torch.Generator
) -> Tensor:
    """An image (1, 1, D, H, W) of classes (1, 1, D, H, W), int64, its darkest voxel at 0 and its brightest at 1.

    Args:
        labels: 0 to K-1.
        classes: K, background included.
        spacing: mm of a voxel along (x, y, z).
        how: what to draw.
        random: what to draw from.
    """
    shape, device = shape_of(labels), labels.device
    means, deviations = uniform(how.means, classes, random), uniform(how.deviations, classes, random)
    if draws(how.blank, random):
        means[0] = deviations[0] = 0.0
    noise = torch.randn(1, 1, *shape, generator=random).to(device)
    image = (means.to(device)[labels] + deviations.to(device)[labels] * noise).clamp(min=0.0)
    blur = float(uniform((0.0, how.blur), 1, random))
    x, y, z = spacing
    image = _thick(gaussian(image, (blur / z, blur / y, blur / x)), spacing, how.thickness, random)
    bias = uniform((0.0, how.bias), 1, random) * smooth_noise(shape, spacing, how.bias_scale, 1, random)
    image = image * bias.exp().to(device)
    low, high = image.min(), image.max()
    gamma = float((how.gamma * torch.randn(1, generator=random)).exp())
    return ((image - low) / (high - low).clamp(min=1e-6)) ** gamma


def uniform(between: tuple[float, float], count: int, random: torch.Generator) -> Tensor:
    """So many numbers between two, (count,)."""
    low, high = between
    return low + (high - low) * torch.rand(count, generator=random)


def draws(share: float, random: torch.Generator) -> bool:
    """True in this share of cases."""
    return float(torch.rand(1, generator=random)) < share


def _thick(image: Tensor, spacing: Sequence[float], thickest: float, random: torch.Generator) -> Tensor:
    """The image as if its slices along an axis had been thicker, on its own grid."""
    axis = int(torch.randint(3, (1,), generator=random))
    slices = list(spacing)
    slices[axis] = max(float(uniform((0.0, thickest), 1, random)), spacing[axis])
    shape = shape_of(image)
    wide = [round((n - 1) * old / new) + 1 for n, old, new in zip(shape, reversed(spacing), slices[::-1], strict=True)]
    depth, height, width = wide
    return resize_image(resize_image(coarsened(image, spacing, slices), (depth, height, width)), shape)
