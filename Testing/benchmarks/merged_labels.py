"""Label maps with a preset's merged structures, as models trained by it know them: `... merged_labels JOB`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import tomllib

from JointRegSegLib.volumes.grid import Grid


def merged(labels: sitk.Image, structures: dict[str, list[int]]) -> sitk.Image:
    """Every structure with the first of its values; what belongs to none becomes background."""
    old = sitk.GetArrayFromImage(labels)
    new = np.zeros_like(old)
    for values in structures.values():
        new[np.isin(old, values)] = values[0]
    return Grid.of(labels).place(sitk.GetImageFromArray(new))


def main() -> None:
    """Write the merged copies."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    structures = tomllib.loads(Path(job["preset"]).read_text(encoding="utf-8"))["data"]["structures"]
    for source, target in job["files"]:
        sitk.WriteImage(merged(sitk.ReadImage(source), structures), target)
    Path(job["outcome"]).write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    main()
