"""One run of a peer inside the peers' environment: `python peer_run.py JOB`. Imports nothing of the project."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path


class Clock:
    """Seconds and CPU seconds (all threads, user and system) of named steps."""

    def __init__(self):
        self.steps = {}

    @contextmanager
    def step(self, name):
        wall, cpu = time.perf_counter(), sum(os.times()[:2])
        yield
        self.steps[name] = {"seconds": time.perf_counter() - wall, "cpu_seconds": sum(os.times()[:2]) - cpu}
        self.steps[name]["peak_mb"] = peak_mb()


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


def greedy(job, clock):
    """Both stages with images and fields in memory; fixed is the target, moving the atlas."""
    with clock.step("imports"):
        import numpy as np
        import SimpleITK as sitk
        from picsl_greedy import Greedy3D
    affine, deformable = job["commands"]
    outputs = {"warp": None}
    names = "-o warp"
    if deformable.endswith(" -oinv"):
        deformable = deformable[: -len(" -oinv")]
        outputs["inverse"] = None
        names += " -oinv inverse"
    with clock.step("prepare"):
        fixed = sitk.ReadImage(job["target"], sitk.sitkFloat32)
        moving = sitk.ReadImage(job["atlas"], sitk.sitkFloat32)
    tool = Greedy3D()
    with clock.step("align"):
        tool.execute(f"-i fixed moving {affine} -o affine", fixed=fixed, moving=moving, affine=None)
    with clock.step("register"):
        tool.execute(f"-i fixed moving {deformable} -it affine {names}", **outputs)
    return affine_of(np.asarray(tool["affine"])), sitk.Cast(tool["warp"], sitk.sitkVectorFloat64)


def affine_of(ras):
    """Greedy's matrix (4, 4), target to atlas in RAS mm, as a transform of LPS mm."""
    import numpy as np
    import SimpleITK as sitk

    ras_to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix = ras_to_lps @ ras @ ras_to_lps
    total = sitk.AffineTransform(3)
    total.SetMatrix(matrix[:3, :3].ravel())
    total.SetTranslation(matrix[:3, 3])
    return total


def syn(job, clock):
    """ANTs' SyN with ANTsPy's defaults. The timed call writes the transforms: ANTsPy offers no other way."""
    with clock.step("imports"):
        import ants
        import SimpleITK as sitk
    with clock.step("prepare"):
        fixed, moving = ants.image_read(job["target"]), ants.image_read(job["atlas"])
    with tempfile.TemporaryDirectory() as folder:
        with clock.step("register"):
            found = ants.registration(fixed=fixed, moving=moving, type_of_transform="SyN", outprefix=f"{folder}/")
        warp, affine = found["fwdtransforms"]
        return sitk.ReadTransform(affine), sitk.ReadImage(warp, sitk.sitkVectorFloat64)


def convexadam(job, clock):
    """convexAdam on MIND features with its defaults, on scans as the authors' abdominal CTs of Learn2Reg are.

    Those are aligned by an affine beforehand and have one isotropic grid of 2 mm. So greedy's affine carries the atlas
    to the target's field of view, sampled as the package's `resample_img` does (linear, 0 beyond the scan); that and
    the affine are timed as "align". The field in voxels of that grid becomes one in mm on the target's grid.
    """
    with clock.step("imports"):
        import numpy as np
        import SimpleITK as sitk
        import torch
        from convexAdam.convex_adam_MIND import convex_adam_pt
        from convexAdam.convex_adam_utils import resample_img
        from picsl_greedy import Greedy3D
    with clock.step("prepare"):
        fixed = sitk.ReadImage(job["target"], sitk.sitkFloat32)
        moving = sitk.ReadImage(job["atlas"], sitk.sitkFloat32)
    tool = Greedy3D()
    with clock.step("align"):
        tool.execute(f"-i fixed moving {job['commands'][0]} -o affine", fixed=fixed, moving=moving, affine=None)
        affine = affine_of(np.asarray(tool["affine"]))
        even = resample_img(fixed, (job["voxel_mm"],) * 3)
        aligned = sitk.Resample(moving, even, affine, sitk.sitkLinear, 0.0)
    with clock.step("register"):
        found = convex_adam_pt(img_fixed=even, img_moving=aligned, device=torch.device(job["device"]))
        warp = sitk.Resample(
            vectors_of(found, even),
            fixed,
            sitk.Transform(),
            sitk.sitkLinear,
            outputPixelType=sitk.sitkVectorFloat64,
            useNearestNeighborExtrapolator=True,
        )
    return affine, warp


def vectors_of(voxels, grid):
    """A displacement (z, y, x, 3) in voxels along the axes of an image's array, as LPS mm on the image's grid."""
    import numpy as np
    import SimpleITK as sitk

    axes = np.reshape(grid.GetDirection(), (3, 3)) * grid.GetSpacing()  # a column for each of x, y and z
    field = sitk.GetImageFromArray(voxels[..., ::-1] @ axes.T, isVector=True)
    field.CopyInformation(grid)
    return field


PEERS = {"syn": syn, "convexadam": convexadam}


def main():
    """Run one job and write its field (total, LPS mm, on the target's grid) and what its steps used."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    clock = Clock()
    affine, warp = PEERS.get(job["method"], greedy)(job, clock)
    peak = peak_mb()
    with clock.step("write"):
        import SimpleITK as sitk

        target = sitk.ReadImage(job["target"])
        both = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(warp)])
        field = sitk.TransformToDisplacementField(
            both,
            sitk.sitkVectorFloat32,
            target.GetSize(),
            target.GetOrigin(),
            target.GetSpacing(),
            target.GetDirection(),
        )
        sitk.WriteImage(field, job["field"])
    timed = [clock.steps[name] for name in ("prepare", "align", "register") if name in clock.steps]
    outcome = {
        "steps": clock.steps,
        "seconds": sum(step["seconds"] for step in timed),
        "cpu_seconds": sum(step["cpu_seconds"] for step in timed),
        "peak_mb": peak,
    }
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
