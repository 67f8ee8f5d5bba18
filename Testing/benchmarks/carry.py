"""An atlas along a peer's field: `python -m Testing.benchmarks.carry JOB`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import SimpleITK as sitk

from JointRegSegLib.volumes.grid import Grid

from .score import warp_labels


def main() -> None:
    """Write the atlas's labels (nearest neighbor) and image (linear) on the field's grid."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    field, output = sitk.ReadImage(job["field"]), Path(job["output"])
    labels = sitk.GetImageFromArray(warp_labels(sitk.ReadImage(job["atlas_labels"]), field))
    labels.CopyInformation(field)
    sitk.WriteImage(labels, str(output / "labels.nii.gz"), True)
    transform = sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))
    image = sitk.ReadImage(job["atlas"], sitk.sitkFloat32)
    warped = sitk.Resample(image, Grid.of(field).empty_image(), transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    sitk.WriteImage(warped, str(output / "warped_atlas.nii.gz"), True)
    Path(job["outcome"]).write_text("{}", encoding="utf-8")


if __name__ == "__main__":
    main()
