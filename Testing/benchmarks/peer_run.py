"""One run of greedy or SyN inside the peers' environment: `python peer_run.py JOB`. Imports nothing of the project."""

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
    ras_to_lps = np.diag([-1.0, -1.0, 1.0, 1.0])
    matrix = ras_to_lps @ np.asarray(tool["affine"]) @ ras_to_lps
    total = sitk.AffineTransform(3)
    total.SetMatrix(matrix[:3, :3].ravel())
    total.SetTranslation(matrix[:3, 3])
    return total, sitk.Cast(tool["warp"], sitk.sitkVectorFloat64)


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


def main():
    """Run one job and write its field (total, LPS mm, on the target's grid) and what its steps used."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    clock = Clock()
    affine, warp = (syn if job["method"] == "syn" else greedy)(job, clock)
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
