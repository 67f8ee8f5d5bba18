"""The 48 ways to order and flip the axes of one and the same volume."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

from JointRegSegLib.volumes.orientation import Placed, reorient

ORIENTATIONS = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]


def all_orientations(item: Placed) -> Iterator[Placed]:
    """The volume or label map in all its axis orders; every voxel keeps its place in space."""
    for axes, flips in ORIENTATIONS:
        yield reorient(item, axes, flips)
