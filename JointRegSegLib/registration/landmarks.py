"""Points that the user says belong together, and the field made to bring them together.

Each round moves the image of every landmark onto its partner by a smooth displacement of the moving image's space,
composed with the field: a thin-plate spline at first, which carries everything between and beyond the landmarks along
(Bookstein, IEEE TPAMI 1989), and Gaussian bumps once the images have had a say, which leave what is far away alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from JointRegSegLib.fields import Shape, identity, resize_image, sample, shape_of

_ROUNDS = 3
_NEAR_ENOUGH = 0.05
_LEAST_REACH = 6.0
"""Standard deviation of a bump in voxels, at least; and at least this many times what it has to move, or it folds."""
_REACH_PER_LENGTH = 1.5
_LATTICE = 3
_SMOOTHING = 1e-3


@dataclass(frozen=True)
class Landmarks:
    """The same points in both images of a pair.

    Attributes:
        fixed, moving: (n, 3) in voxels (d, h, w) of a grid of `shape`.
        shape: (D, H, W).
    """

    fixed: NDArray[np.float64]
    moving: NDArray[np.float64]
    shape: Shape

    def swapped(self) -> Landmarks:
        """With fixed and moving exchanged."""
        return Landmarks(self.moving, self.fixed, self.shape)

    def at(self, shape: Shape) -> Landmarks:
        """On a grid of `shape` that spans the same box."""
        scale = (np.array(shape) - 1) / np.maximum(np.array(self.shape) - 1, 1)
        return Landmarks(self.fixed * scale, self.moving * scale, shape)


def pinned(field: Tensor, landmarks: Landmarks, wide: bool) -> Tensor:
    """The field (1, 3, D, H, W) in voxels, on the landmarks' grid, changed so that it joins them.

    Args:
        wide: whether everything goes along with the landmarks, or only what is near.
    """
    points = identity(shape_of(field), field)
    for _ in range(_ROUNDS):
        there = landmarks.fixed + _at(field, landmarks.fixed)
        rest = landmarks.moving - there
        if np.linalg.norm(rest, axis=1).max() < _NEAR_ENOUGH:
            break
        field = field + sample(_spread(there, rest, field, wide), points + field)
        wide = False
    return field


def _at(field: Tensor, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """The field's vectors (n, 3) at places (n, 3)."""
    positions = torch.from_numpy(places.T.copy()).to(field)[None, :, :, None, None]
    found: NDArray[np.float64] = sample(field, positions)[0, :, :, 0, 0].T.cpu().double().numpy()
    return found


def _spread(places: NDArray[np.float64], vectors: NDArray[np.float64], like: Tensor, wide: bool) -> Tensor:
    """A smooth field like another that takes given vectors (n, 3) at places (n, 3)."""
    from scipy.interpolate import RBFInterpolator  # 14 MB, which runs without landmarks do not need

    if wide:
        spline = RBFInterpolator(places, vectors, kernel="linear", degree=0, smoothing=_SMOOTHING)
    else:
        reach = max(_LEAST_REACH, _REACH_PER_LENGTH * float(np.linalg.norm(vectors, axis=1).max()))
        epsilon = 1 / (np.sqrt(2) * reach)
        spline = RBFInterpolator(places, vectors, kernel="gaussian", epsilon=epsilon, degree=-1, smoothing=_SMOOTHING)
    shape = shape_of(like)
    axes = [np.linspace(0, n - 1, max(n // _LATTICE, 2)) for n in shape]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    found = spline(lattice.reshape(-1, 3)).reshape(lattice.shape)
    return resize_image(torch.from_numpy(found).to(like).permute(3, 0, 1, 2)[None], shape)
