"""Several atlases that lie on one target, and how they are looked at part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SLAB_VOXELS = 6_000_000
_EVEN = 8

Mm = tuple[float, float, float]


@dataclass(frozen=True)
class Stack:
    """A target and L atlases, warped to it.

    Attributes:
        target: the target's intensities, about 0 to 1, (D, H, W) float32.
        images: those of the atlases, likewise, (L, D, H, W), float16 to save memory.
        labels: their label maps, 0 is background, (L, D, H, W) uint16.
        spacing: mm along D, H, W.
    """

    target: NDArray[np.float32]
    images: NDArray[np.floating]
    labels: NDArray[np.uint16]
    spacing: Mm

    def __post_init__(self) -> None:
        if not self.images.shape == self.labels.shape == (len(self.labels), *self.target.shape):
            raise ValueError(f"images {self.images.shape}, labels {self.labels.shape} on {self.target.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the target: D, H, W."""
        d, h, w = self.target.shape
        return d, h, w

    def in_units_of_the_finest(self, length: float) -> Mm:
        """Voxels along D, H, W that span `length` voxels of the finest axis."""
        d, h, w = (length * min(self.spacing) / mm for mm in self.spacing)
        return d, h, w


@dataclass(frozen=True)
class Slab:
    """Some slices: `outer` with what a neighbourhood reaches into, `inner` without, `kept` the inner ones in outer."""

    inner: slice
    outer: slice
    kept: slice


def slabs(shape: tuple[int, int, int], reach: int, voxels: int = _SLAB_VOXELS) -> Iterator[Slab]:
    """(D, H, W) in slabs of about `voxels` voxels with `reach` slices more on either side."""
    depth, height, width = shape
    thick = max(voxels // (height * width) // _EVEN, 1) * _EVEN
    for start in range(0, depth, thick):
        stop = min(start + thick, depth)
        first, last = max(start - reach, 0), min(stop + reach, depth)
        yield Slab(slice(start, stop), slice(first, last), slice(start - first, stop - first))


def as_tensor(array: NDArray[np.floating]) -> Tensor:
    """A volume (D, H, W) as (1, 1, D, H, W) float32."""
    return torch.from_numpy(array.astype(np.float32))[None, None]


def disputed(labels: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Where label maps (L, D, H, W) differ from one another, (D, H, W)."""
    found = np.zeros(labels.shape[1:], bool)
    for other in labels[1:]:
        found |= other != labels[0]
    return found
