"""Overviews of a library's members: made once with the library, read where the most similar members are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from ..job import Overview
from ..library.create import ENDING, Told
from ..library.manifest import OVERVIEWS, Member, MemberOverview, Overviews, sha256
from ..registration import Scan, affine_spacing, align
from ..volumes import canonical, read_volume, write_volume
from .prepare import read_scan

_STEPS = 1024.0
"""Values between 0 and 1: so many compress well, and are far more than a score can tell."""


def make_overviews(folder: Path, members: Sequence[Member], told: Told) -> Overviews:
    """Write the members' overviews into their library's folder.

    Args:
        folder: the library's, with the members' images.
        members: in their order; the affines are those from the first to each.
        told: hears of each member.

    Raises:
        JobError: OUTPUT_UNWRITABLE, DISK_FULL, and what reading a scan and aligning it raise.
    """
    (folder / OVERVIEWS).mkdir()
    found: list[MemberOverview] = []
    with torch.inference_mode():
        first = read_scan(folder / members[0].image)
        spacing = affine_spacing(first)
        for number, member in enumerate(members, 1):
            scan = first if number == 1 else read_scan(folder / member.image)
            matrix = np.eye(4) if number == 1 else align(first, scan).matrix
            file = PurePosixPath(OVERVIEWS, f"{number:04}{ENDING}")
            coarse = scan.at_spacing(spacing)
            write_volume(folder / file, (coarse.image[0, 0] * _STEPS).round().div(_STEPS).numpy(), coarse.grid)
            found.append(
                MemberOverview(file, sha256(folder / file), (*matrix[:3].flatten().tolist(), 0.0, 0.0, 0.0, 1.0))
            )
            told(f"{member.name}: overview")
    return Overviews(spacing, tuple(found))


def read_overview(overview: Overview) -> Scan:
    """The atlas as the affine's score sees it; `JobError` where the file cannot be used."""
    volume = canonical(read_volume(overview.image))
    image = torch.from_numpy(np.ascontiguousarray(volume.array))[None, None]
    return Scan(image, torch.ones_like(image), None, volume.grid, cut=False)
