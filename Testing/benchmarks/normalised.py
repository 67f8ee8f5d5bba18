"""Scans and their labels behind an affine onto one scan's grid, as the papers prepare theirs: `... normalised JOB`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import SimpleITK as sitk

from JointRegSegLib.job import Atlas, Request
from JointRegSegLib.pipeline.prepare import prepare
from JointRegSegLib.pipeline.progress import Progress
from JointRegSegLib.pipeline.transform import align_step


def normalise(template: Path, image: Path, labels: Path, new_image: Path, new_labels: Path) -> None:
    """Write a scan (linear) and its labels (nearest neighbour) on the template's grid; beyond the scan is 0."""
    request = Request((Atlas(image, labels),), template, new_image.parent)
    quiet = Progress(lambda event: None, lambda: False)
    with quiet.step("align", ""):
        _, target, atlas = prepare(request, quiet)
        matrix = align_step(request, target, atlas, quiet).matrix
    affine = sitk.AffineTransform(matrix[:3, :3].ravel().tolist(), matrix[:3, 3].tolist())
    grid = sitk.ReadImage(str(template))
    for source, new, how in ((image, new_image, sitk.sitkLinear), (labels, new_labels, sitk.sitkNearestNeighbor)):
        partial = new.with_name(f"partial-{os.getpid()}-{new.name}")  # rows side by side want the same files
        sitk.WriteImage(sitk.Resample(sitk.ReadImage(str(source)), grid, affine, how), str(partial))
        partial.replace(new)


def main() -> None:
    """Write what is missing."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for files in job["files"]:
        paths = [Path(file) for file in files]
        if not paths[-1].is_file():
            normalise(Path(job["template"]), *paths)
    Path(job["outcome"]).write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    main()
