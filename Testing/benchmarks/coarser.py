"""Scans and their labels on wider voxels, for rows that would take hours on the whole scans: `... coarser JOB`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from JointRegSegLib.training.frame import Frame
from JointRegSegLib.volumes import LabelMap, canonical, read_label_map, read_volume, write_label_map, write_volume


def coarser(image: Path, labels: Path, new_image: Path, new_labels: Path, mm: float) -> None:
    """Write a scan (smoothed, linear, scaled to 0..1) and its labels (nearest) on isotropic voxels of `mm`."""
    volume = canonical(read_volume(image))
    frame = Frame.of([volume.grid], "minmax", spacing=(mm, mm, mm))
    tensor, grid = frame.image(volume)
    write_volume(new_image, tensor[0, 0].numpy(), grid)
    found = read_label_map(labels)
    write_label_map(new_labels, LabelMap(frame.labels(found, grid), grid, found.table))


def main() -> None:
    """Write all of them."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for files in job["files"]:
        coarser(*(Path(file) for file in files), job["mm"])
    Path(job["outcome"]).write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    main()
