"""A small finished run on disk, made without the pipeline: a known deformation of known labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from JointRegSegLib.job import Atlas, Caution, LabelVolume, Measure, QualityTable, Request, Result, Status
from JointRegSegLib.job import result as files
from JointRegSegLib.volumes import (
    Grid,
    Label,
    LabelMap,
    LabelTable,
    write_affine,
    write_field,
    write_label_map,
    write_segmentation,
    write_volume,
)

_ROTATION = np.linalg.qr(np.array([[1.0, 0.2, -0.1], [-0.15, 1.0, 0.3], [0.1, -0.25, 1.0]]))[0]
TARGET_GRID = Grid((40, 36, 30), (2.0, 2.0, 2.5), (-38.0, -30.0, 10.0), tuple(float(v) for v in _ROTATION.ravel()))
ATLAS_GRID = Grid((44, 40, 38), (2.0, 2.0, 2.0), (-45.0, -42.0, 0.0))
TABLE = LabelTable(
    [
        Label(5, "left part", (230, 60, 40)),
        Label(2, "right part", (40, 110, 240)),
        Label(
            300,
            "roof",
            (40, 200, 70),
            {
                "Category_CodingScheme": "SCT",
                "Category_CodeValue": "123037004",
                "Category_CodeMeaning": "Anatomical Structure",
                "Type_CodingScheme": "SCT",
                "Type_CodeValue": "421060004",
                "Type_CodeMeaning": "Roof",
            },
        ),
    ]
)
MANIFEST = {"version": "0.1.0", "method": "instance", "seed": 7, "device": "cpu", "target_digest": "5ca9"}
QUALITY = QualityTable(
    measures=(Measure("folding", "Folding", 0.0, "%", Status.GOOD), Measure("sdlogj", "SD of log J", 0.31)),
    labels=(LabelVolume(5, "left part", 100, 1.0),),
    cautions=(Caution("overlap", "Only half of the target is covered."),),
)


@dataclass(frozen=True)
class FinishedRun:
    """The result, the request it answers, and the mapping behind it."""

    result: Result
    request: Request
    affine: Any

    def to_atlas(self, points: Any) -> Any:
        """Atlas points of target points, LPS mm."""
        return _apply(self.affine, points + _wave(points))

    def to_target(self, points: Any) -> Any:
        """Target points of atlas points, LPS mm."""
        back = _apply(np.linalg.inv(self.affine), points)
        found = back.copy()
        for _ in range(60):
            found = back - _wave(found)
        return found


def finished_run(folder: Path) -> FinishedRun:
    """Write a request's scans and the result of the run."""
    affine = _affine()
    run = FinishedRun(Result(folder / "result"), _request(folder), affine)
    run.result.folder.mkdir()
    target_points, atlas_points = _points(TARGET_GRID), _points(ATLAS_GRID)
    labels = LabelMap(_labels(target_points), TARGET_GRID, TABLE)
    path = run.result.path
    write_label_map(path(files.LABELS), labels)
    write_segmentation(path(files.SEGMENTATION), labels)
    write_volume(path(files.WARPED_ATLAS), _scan(target_points), TARGET_GRID)
    write_volume(path(files.JACOBIAN), np.full(TARGET_GRID.shape, 1.1, np.float32), TARGET_GRID)
    write_field(path(files.FIELD), run.to_atlas(target_points) - target_points, TARGET_GRID)
    write_field(path(files.FIELD_INVERSE), run.to_target(atlas_points) - atlas_points, ATLAS_GRID)
    write_affine(path(files.AFFINE), affine)
    path(files.QUALITY_JSON).write_text(QUALITY.to_json(), encoding="utf-8")
    path(files.QUALITY_CSV).write_text(QUALITY.to_csv(), encoding="utf-8")
    path(files.MANIFEST).write_text(json.dumps(MANIFEST), encoding="utf-8")
    write_volume(run.request.target, _scan(target_points), TARGET_GRID)
    write_volume(run.request.atlases[0].image, _scan(run.to_target(atlas_points)), ATLAS_GRID)
    return run


def _request(folder: Path) -> Request:
    atlas = Atlas(folder / "atlas.nrrd", folder / "atlas_labels.seg.nrrd")
    return Request((atlas,), target=folder / "target.nrrd", output=folder / "result")


def _affine() -> Any:
    affine = np.eye(4)
    affine[:3, :3] = [[1.03, 0.04, 0.0], [-0.05, 0.97, 0.02], [0.0, -0.03, 1.02]]
    affine[:3, 3] = ATLAS_GRID.centre - affine[:3, :3] @ TARGET_GRID.centre
    return affine


def _wave(points: Any) -> Any:
    return 2.5 * np.sin(points[..., [1, 2, 0]] / 11.0 + (0.2, 1.0, 1.9))


def _scan(points: Any) -> Any:
    local = (points - TARGET_GRID.centre) / 16.0
    body = 1.0 / (1.0 + np.exp(8.0 * (np.linalg.norm(local, axis=-1) - 1.4)))
    texture = 1.0 + 0.3 * np.sin(points / 4.0).prod(axis=-1)
    return (900.0 * body * texture).astype(np.float32)


def _labels(points: Any) -> Any:
    x, y, z = np.moveaxis((points - TARGET_GRID.centre) / 16.0, -1, 0)
    ball = x**2 + y**2 + z**2 < 1.2
    return np.select([ball & (z > 0.35), ball & (x > 0), ball], [300, 5, 2], 0).astype(np.uint16)


def _points(grid: Grid) -> Any:
    axes = (np.arange(n) for n in grid.shape)
    indices = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)
    return grid.to_lps(indices)


def _apply(matrix: Any, points: Any) -> Any:
    return points @ matrix[:3, :3].T + matrix[:3, 3]
