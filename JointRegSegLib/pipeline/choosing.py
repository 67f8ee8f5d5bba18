"""Which of many atlases are registered: those most like the target after their affine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..fields import Matrix
from ..job import JobError, Overview, Request
from ..job.request import START_AUTO
from ..registration import Alignment, Scan, likeness
from ..volumes import write_affine
from .overviews import read_overview
from .prepare import prepare, read_scan
from .progress import SHARES, Progress
from .transform import align_step

STARTS = "start*.tfm"
"""What choosing leaves in the folder until the run ends."""
_PLACED = 0.3
"""The least local correlation of an affine that others may be composed from: a scan of another body has less."""


def chosen(requests: list[Request], most: int | None, folder: Path, progress: Progress) -> list[Request]:
    """The atlases most like the target after their affine, in the order they were named; all where that is few.

    Where all are of a library that has overviews of them, one affine is searched, and from it those of the others
    follow. Elsewhere every affine is searched, and the chosen ones begin with theirs.

    Args:
        requests: one for each atlas.
        most: how many to choose, or None for all.
        folder: for the chosen ones' starts.
    """
    if most is None or most >= len(requests):
        return requests
    starts: dict[int, Path] = {}
    scores = _at_a_glance(requests, progress)
    if scores is None:
        scores, starts = _by_search(requests, folder, progress)
    kept = sorted(sorted(scores, key=lambda number: -scores[number])[:most])
    progress.log("Most alike after the affine: " + ", ".join(requests[n].atlases[0].name for n in kept) + ".")
    return [replace(requests[n], start=str(starts[n])) if n in starts else requests[n] for n in kept]


def _by_search(
    requests: Sequence[Request], folder: Path, progress: Progress
) -> tuple[dict[int, float], dict[int, Path]]:
    """Each atlas's score and the file of its affine, by its number; without those that cannot be used."""
    scores: dict[int, float] = {}
    starts: dict[int, Path] = {}
    for number, request in enumerate(requests):
        progress.done(number / len(requests))
        try:
            _, found = _aligned(request)
        except JobError as error:
            _left_out(request, error, progress)
            continue
        scores[number] = found.score
        if found.partial:
            continue  # a given start would hide from the run that organs may still lie far apart
        starts[number] = folder / STARTS.replace("*", str(number))
        write_affine(starts[number], found.matrix)
    return scores, starts


def _at_a_glance(requests: Sequence[Request], progress: Progress) -> dict[int, float] | None:
    """Each atlas's score by its overview, by its number; None where overviews do not say it.

    The affine to each is that to the first, and from there on what the library knows.
    """
    known = _overviews(requests)
    if known is None:
        return None
    try:
        target, found = _aligned(requests[0])
    except JobError:
        return None  # the search then says what is wrong
    if found.score < _PLACED:
        return None
    to_reference = np.linalg.inv(_matrix(known[0])) @ found.matrix
    spacing = known[0].spacing
    target = target.at_spacing(spacing)
    scores: dict[int, float] = {}
    for number, (request, overview) in enumerate(zip(requests, known, strict=True)):
        progress.done(number / len(requests))
        try:
            scores[number] = likeness(target, _seen(request, overview), _matrix(overview) @ to_reference, spacing)
        except JobError as error:
            _left_out(request, error, progress)
    return scores


def _overviews(requests: Sequence[Request]) -> list[Overview] | None:
    """The overviews of all atlases; None where one has none, or a mask that it does not show, or another library's."""
    found = [request.atlases[0].overview for request in requests if request.atlases[0].mask is None]
    known = [overview for overview in found if overview is not None]
    libraries = {(overview.image.parent, overview.spacing) for overview in known}
    alike = len(known) == len(requests) and len(libraries) == 1
    return known if alike and requests[0].start == START_AUTO else None


def _seen(request: Request, overview: Overview) -> Scan:
    """The atlas on the overview's spacing: from its own scan where the overview cannot be read."""
    try:
        return read_overview(overview)
    except JobError:
        return read_scan(request.atlases[0].image)


def _aligned(request: Request) -> tuple[Scan, Alignment]:
    """The target, and the affine from it to the atlas; `JobError` where a scan cannot be used."""
    quiet = Progress(lambda event: None, lambda: False, SHARES)
    with quiet.step("align", ""):
        _, target, atlas = prepare(request, quiet)
        return target, align_step(request, target, atlas, quiet)


def _matrix(overview: Overview) -> Matrix:
    return np.reshape(np.asarray(overview.affine, np.float64), (4, 4))


def _left_out(request: Request, error: JobError, progress: Progress) -> None:
    progress.caution("atlas-left-out", f"{request.atlases[0].name} was left out: {error.message}")
