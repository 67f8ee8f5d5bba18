"""Random changes of scans. A movement is a 4x4 matrix, drawn once and applied to all that must move together.

A movement takes voxels (d, h, w, 1) of the result to voxels of the source; movements compose by `@`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.fields import Shape, apply_matrix, identity, sample, shape_of

from .dataset import Sample

Movement = NDArray[np.float64]


def random_affine(shape: Shape, strength: float, random: torch.Generator) -> Movement:
    """I + s N(0, 1) in each of the 12 entries, in coordinates from -1 to 1 (JRSS's public trainers)."""
    matrix = np.eye(4)
    matrix[:3] += strength * torch.randn(3, 4, generator=random, dtype=torch.float64).numpy()
    return _about_centre(matrix, shape, [max(n - 1, 1) / 2 for n in shape])


def random_turn(
    shape: Shape,
    degrees: float,
    scale: tuple[float, float],
    random: torch.Generator,
    spacing: Sequence[float] = (1, 1, 1),
) -> Movement:
    """Rotation by up to `degrees` about each axis and one scale for all (Bi-JROS, spatial transform of its step 2).

    Args:
        shape: of the images.
        degrees: each angle is uniform in -degrees to degrees.
        scale: the scale is uniform between these.
        random: what to draw from.
        spacing: mm of a voxel along (D, H, W), so that a turn stays a turn where voxels are no cubes.
    """
    angles = (torch.rand(3, generator=random, dtype=torch.float64) * 2 - 1) * math.radians(degrees)
    low, high = scale
    factor = low + (high - low) * float(torch.rand(1, generator=random, dtype=torch.float64))
    matrix = np.eye(4)
    for (a, b), angle in zip(((1, 2), (0, 2), (0, 1)), angles.tolist(), strict=True):
        turn = np.eye(4)
        turn[a, a] = turn[b, b] = math.cos(angle)
        turn[a, b], turn[b, a] = -math.sin(angle), math.sin(angle)
        matrix = matrix @ turn
    matrix[:3, :3] *= factor
    return _about_centre(matrix, shape, [1 / mm for mm in spacing])


def random_flip(shape: Shape, axes: Sequence[int], random: torch.Generator) -> Movement:
    """A mirror across each of the axes (0, 1, 2 of D, H, W) with probability 1/2.

    Mirroring left to right is for data without sided structures alone: labels keep their side's name.
    """
    matrix = np.eye(4)
    for axis, chosen in zip(axes, (torch.rand(len(axes), generator=random) < 0.5).tolist(), strict=True):
        if chosen:
            matrix[axis, axis], matrix[axis, 3] = -1.0, shape[axis] - 1.0
    return matrix


def move_image(image: Tensor, movement: Movement, padding: str = "border") -> Tensor:
    """An image or probabilities (1, C, D, H, W), moved: trilinear."""
    return sample(image, apply_matrix(movement, identity(shape_of(image), image)), padding=padding)


def move_labels(labels: Tensor, movement: Movement, padding: str = "border") -> Tensor:
    """Classes (1, 1, D, H, W), moved: nearest."""
    values = labels.float()
    positions = apply_matrix(movement, identity(shape_of(values), values))
    return sample(values, positions, "nearest", padding).to(labels.dtype)


def move(item: Sample, movement: Movement, padding: str = "border") -> Sample:
    """Image and label of a sample, moved by the same matrix."""
    label = None if item.label is None else move_labels(item.label, movement, padding)
    return Sample(item.id, move_image(item.image, movement, padding), label)


def random_gain(strength: float, random: torch.Generator) -> float:
    """The factor exp(s N(0, 1)) of another contrast, which leaves a background of 0."""
    return math.exp(strength * float(torch.randn(1, generator=random)))


def _about_centre(matrix: Movement, shape: Shape, voxels: Sequence[float]) -> Movement:
    """A matrix in coordinates that are 0 in the middle and 1 at `voxels` from it, in voxels."""
    to_voxels = np.diag([*voxels, 1.0])
    to_voxels[:3, 3] = [(n - 1) / 2 for n in shape]
    return to_voxels @ matrix @ np.linalg.inv(to_voxels)
