"""Gradient ascent of local correlation over affine maps.

A candidate is a 4x4 matrix from target to atlas points, LPS mm. Steps are taken in the Lie algebra of the affine
group around the target's centre, so a rigid stage stays rigid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import expm
from torch import Tensor

from JointRegSegLib.fields import Matrix, affine_positions, sample, shape_of
from JointRegSegLib.losses import FixedMoments, image_gradient, lncc, lncc_force

from .scan import Scan

WINDOW = 5
_BETAS = (0.8, 0.95)
_LEAST_OVERLAP = 0.3


@dataclass(frozen=True)
class Stage:
    """One round of ascent: steps, first and last step length in mm, and whether shape stays as it is."""

    steps: int
    longest: float
    shortest: float
    rigid: bool


class AffineProblem:
    """Local correlation of target and atlas at one resolution, as a function of the affine between them."""

    def __init__(self, target: Scan, atlas: Scan, mm: float) -> None:
        self.target, self.atlas = target.at_spacing(mm), atlas.at_spacing(mm)
        image = self.target.image
        self._moments = FixedMoments.of(image, WINDOW)
        self.centre, spread = self.target.centre_and_spread()
        self.radius = float(np.linalg.norm(spread))
        points = affine_positions(self.target.grid, self.target.grid, np.eye(4), image)
        lps = self.target.grid.to_lps(points[0].flatten(1).flip(0).T.cpu().numpy())
        arms = (lps - self.centre) / self.radius
        self._arms = torch.as_tensor(np.concatenate([arms, np.ones((len(arms), 1))], 1), dtype=image.dtype)
        self._to_lps = torch.as_tensor(np.linalg.inv(self.target.grid.matrix[:3, :3]).T, dtype=image.dtype)
        self._contrast = float(self._moments.variance.sqrt().sum())

    def score(self, matrix: Matrix) -> float:
        """Local correlation where the scans overlap, less where they overlap little; 0 to 1."""
        warped, weight = self._warp(matrix)
        overlap = float((self._moments.variance.sqrt() * weight).sum()) / max(self._contrast, 1e-9)
        return float(lncc(self._moments, warped, weight)) * min(1.0, overlap / _LEAST_OVERLAP)

    def ascend(self, matrix: Matrix, stage: Stage) -> Matrix:
        """The matrix after `stage.steps` steps uphill (Adam on the twelve numbers of a small affine)."""
        first, second = np.zeros((3, 4)), np.zeros((3, 4))
        for step in range(stage.steps):
            slope = self._slope(matrix)
            if stage.rigid:
                slope[:, :3] = (slope[:, :3] - slope[:, :3].T) / 2
            first = _BETAS[0] * first + (1 - _BETAS[0]) * slope
            second = _BETAS[1] * second + (1 - _BETAS[1]) * np.mean(slope**2)
            done = step / max(stage.steps - 1, 1)
            length = stage.longest * (stage.shortest / stage.longest) ** done
            ratio = (1 - _BETAS[1] ** (step + 1)) ** 0.5 / (1 - _BETAS[0] ** (step + 1))
            matrix = matrix @ self._small(length * ratio * first / (np.sqrt(second) + 1e-12))
        return matrix

    def _small(self, change: Matrix) -> Matrix:
        """The affine that moves by `change` mm at the distance `radius` from the centre."""
        generator = np.zeros((4, 4))
        generator[:3, :3] = change[:, :3] / self.radius
        generator[:3, 3] = change[:, 3]
        there, back = np.eye(4), np.eye(4)
        there[:3, 3], back[:3, 3] = self.centre, -self.centre
        moved: Matrix = there @ expm(generator) @ back
        return moved

    def _slope(self, matrix: Matrix) -> Matrix:
        warped, weight = self._warp(matrix)
        force = lncc_force(self._moments, warped, weight) * image_gradient(warped)
        lps = self._to_lps @ force[0].flatten(1).flip(0)
        return (lps @ self._arms).double().numpy()

    def _warp(self, matrix: Matrix) -> tuple[Tensor, Tensor]:
        image = self.atlas.image
        positions = affine_positions(self.target.grid, self.atlas.grid, matrix, image)
        weight = inside(positions, shape_of(image))
        if self.atlas.weight is not None:
            weight = weight * sample(self.atlas.weight, positions)
        if self.target.weight is not None:
            weight = weight * self.target.weight
        return sample(image, positions), weight


def inside(positions: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """1 where positions (1, 3, D, H, W) lie in a grid of `shape` (to half a voxel beyond), else 0: (1, 1, D, H, W)."""
    limits = positions.new_tensor(shape).view(1, 3, 1, 1, 1) - 0.5
    return ((positions > -0.5) & (positions < limits)).all(1, keepdim=True).to(positions.dtype)
