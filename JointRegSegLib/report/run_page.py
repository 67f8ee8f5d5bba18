"""The report of one run: a page of its own, with pictures, figures and warnings in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..job import Atlas, Measure, QualityTable, Result, Status, result
from ..job.folders import unwritable, write_whole
from ..volumes import LabelTable, read_label_map, read_volume
from .page import STATUS_WORDS, as_data, render, without_paths
from .pictures import pictures, thumbnail
from .planes import load_scene

_TEMPLATE = "run.html"

_HEADLINES = {
    Status.GOOD: "No measure is out of its limits. Look at the outlines before you use them.",
    Status.LOOK: "Some measures ask for a look before you use the result.",
    Status.BAD: "Some measures say that the result is probably wrong.",
}
_WORDS = {
    "folding_percent": "The deformation folds over itself; do not trust volumes and outlines where it does.",
    "jacobian_min": "In some place the deformation squeezes space to almost nothing or turns it inside out.",
    "sdlogj": "Local changes of size differ much from place to place; the deformation may follow noise.",
    "inverse_error_mean": "Going to the atlas and back does not return to the same place.",
    "inverse_error_p999": "In a few places, going to the atlas and back does not return to the same place.",
    "review_percent": "The atlases disagree on many labels; look at the red places.",
    "similarity_after": "The registered atlas is no more like the target than the unregistered one.",
}
_SETTINGS = {
    "method": "method",
    "fusion": "fusion",
    "most_alike": "pictures are of atlas",
    "left_out": "atlases left out",
    "quality": "quality",
    "similarity": "similarity",
    "start": "start",
    "device": "device",
    "threads": "threads",
    "seed": "seed",
    "version": "version",
    "started": "started",
    "finished": "finished",
}


@dataclass(frozen=True)
class StructureRow:
    """One structure in the page: colour as #rrggbb, volume in ml; mean confidence, 0 to 1, and percent to look at."""

    value: int
    name: str
    color: str
    volume_ml: float
    confidence: float | None
    review: float | None


def write_report(run: Result, target: Path | None = None, atlas: Atlas | None = None) -> Path:
    """Write `report.html` and `thumbnail.png` into a result's folder and return the page's path.

    Args:
        run: the finished run.
        target, atlas: what it was made from; without them the pictures that need them are left out.

    Raises:
        JobError: EXTRA_MISSING; a file that cannot be read; OUTPUT_UNWRITABLE or DISK_FULL.
    """
    scene = load_scene(run, target, atlas.image if atlas else None, atlas.labels if atlas else None)
    drawn = [(p.title, p.note, as_data(p.png)) for p in pictures(scene, target is not None)]
    small = thumbnail(scene)
    text = page(run, drawn, structure_rows(run))
    write_whole(run.path(result.REPORT), text)
    try:
        run.path(result.THUMBNAIL).write_bytes(small)
    except OSError as problem:
        raise unwritable(run.path(result.THUMBNAIL), problem) from problem
    return run.path(result.REPORT)


def page(run: Result, drawn: list[tuple[str, str, str]], structures: list[StructureRow]) -> str:
    """The page as HTML text.

    Args:
        run: the finished run.
        drawn: title, note and address of each picture.
        structures: rows of the table.
    """
    table, manifest = run.quality, run.manifest
    return render(
        _TEMPLATE,
        status=STATUS_WORDS[table.overall],
        headline=_HEADLINES[table.overall],
        warnings=warnings(table),
        pictures=drawn,
        measures=[_measure(measure) for measure in table.measures],
        structures=structures,
        with_confidence=any(row.confidence is not None for row in structures),
        with_review=any(row.review is not None for row in structures),
        steps=[(s.step, f"{s.seconds:.1f}", f"{s.cpu_seconds:.1f}", f"{s.peak_mb:.0f}") for s in table.steps],
        settings=[(word, _plain(manifest[key])) for key, word in _SETTINGS.items() if key in manifest],
        atlases=len(manifest.get("atlases", ())),
    )


def warnings(table: QualityTable) -> list[str]:
    """What the reader should know, a sentence each: the run's own cautions, then measures out of their limits."""
    found = [without_paths(caution.message) for caution in table.cautions]
    for measure in table.measures:
        if measure.status in (Status.LOOK, Status.BAD) and measure.key in _WORDS:
            found.append(f"{_WORDS[measure.key]} ({measure.name}: {measure.value:.3g} {measure.unit}".rstrip() + ")")
    return list(dict.fromkeys(found))


def structure_rows(run: Result) -> list[StructureRow]:
    """Volumes, and mean confidences where the run has a map of them; colours as the segmentation has them."""
    volumes, sure = run.quality.labels, run.path(result.CONFIDENCE)
    found = read_label_map(run.path(result.SEGMENTATION))
    means = np.array([math.nan if volume.confidence is None else volume.confidence for volume in volumes])
    if np.isnan(means).all() and sure.is_file() and volumes:
        confidence = read_volume(sure).array
        with np.errstate(invalid="ignore"):
            means = np.asarray(ndimage.mean(confidence, found.array, [volume.value for volume in volumes]))
    return [
        StructureRow(
            volume.value,
            volume.name,
            _color(found.table, volume.value),
            volume.volume_ml,
            None if np.isnan(mean) else float(mean),
            None if volume.review is None else 100.0 * volume.review,
        )
        for volume, mean in zip(volumes, means, strict=True)
    ]


def _color(table: LabelTable, value: int) -> str:
    red, green, blue = table[value].color if value in table else (128, 128, 128)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _measure(measure: Measure) -> tuple[str, str, str, str]:
    return measure.name, f"{measure.value:.4g}", measure.unit, STATUS_WORDS[measure.status]


def _plain(value: Any) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
