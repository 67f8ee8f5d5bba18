"""A finished run on disk: the names of its files, and whether it is whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Code, JobError
from .quality import QualityTable

LABELS = "labels.nii.gz"
SEGMENTATION = "segmentation.seg.nrrd"
WARPED_ATLAS = "warped_atlas.nii.gz"
JACOBIAN = "jacobian.nii.gz"
FIELD = "field.nrrd"
FIELD_INVERSE = "field_inverse.nrrd"
AFFINE = "affine.tfm"
QUALITY_JSON = "quality.json"
QUALITY_CSV = "quality.csv"
MANIFEST = "manifest.json"
CONFIDENCE = "confidence.nii.gz"
"""Only where a trained method segmented too, or several atlases were fused."""

REVIEW = "review.nii.gz"
"""The labels of the voxels that should be looked at; only where several atlases were fused."""

ATLASES = "atlases"
"""Folder with a folder for each of several atlases: its labels, warped image, affine and tables."""

REPORT = "report.html"
THUMBNAIL = "thumbnail.png"
"""Only after `jointregseg report` or a batch."""

FILES = (
    LABELS,
    SEGMENTATION,
    WARPED_ATLAS,
    JACOBIAN,
    FIELD,
    FIELD_INVERSE,
    AFFINE,
    QUALITY_JSON,
    QUALITY_CSV,
    MANIFEST,
)


@dataclass(frozen=True)
class Result:
    """The folder of one finished run.

    `field` is on the target's grid and `field_inverse` on the atlas's: total displacements in LPS mm, affine
    included. `affine` maps target points to atlas points (LPS mm).
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Result:
        """The result in `folder`.

        Raises:
            JobError: RESULT_INVALID where there is no such folder, where it holds no result, or one that lacks a file
                or whose tables cannot be read.
        """
        if not folder.is_dir():
            raise JobError(Code.RESULT_INVALID, f"There is no folder {folder}.", "Check the path.")
        missing = [name for name in FILES if not (folder / name).is_file()]
        if len(missing) == len(FILES):
            raise JobError(
                Code.RESULT_INVALID,
                f"The folder {folder} holds no result.",
                "Name the folder that a run was told to write its result to.",
            )
        if missing:
            raise JobError(
                Code.RESULT_INVALID,
                f"The result in {folder} lacks {', '.join(missing)}.",
                "Run again; results appear whole or not at all, so something else removed the files.",
            )
        result = cls(folder)
        try:
            _ = result.quality, result.manifest
        except (ValueError, KeyError, TypeError) as problem:
            raise JobError(
                Code.RESULT_INVALID, f"The tables in {folder} cannot be read: {problem}.", "Run again."
            ) from problem
        return result

    def path(self, name: str) -> Path:
        """The path of one of the files named in this module."""
        return self.folder / name

    @property
    def quality(self) -> QualityTable:
        """The quality table."""
        return QualityTable.from_json(self.path(QUALITY_JSON).read_text(encoding="utf-8"))

    @property
    def manifest(self) -> dict[str, Any]:
        """Versions, settings, device and seed of the run."""
        manifest: dict[str, Any] = json.loads(self.path(MANIFEST).read_text(encoding="utf-8"))
        return manifest
