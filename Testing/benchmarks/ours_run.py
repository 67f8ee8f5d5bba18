"""One run of ours in its own process: `python -m Testing.benchmarks.ours_run JOB`."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

TIMED = ("prepare", "align", "register")
GUIDES = ("target_mask", "landmarks", "continue_from", "corrections")


def main() -> None:
    """Run one job through the pipeline and hand on what its steps used and what it measured itself."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    wall, cpu = time.perf_counter(), sum(os.times()[:2])
    from JointRegSegLib.job import Atlas, Device, Quality, Request, Similarity
    from JointRegSegLib.job.result import FIELD, LABELS
    from JointRegSegLib.pipeline import run

    imports = {"seconds": time.perf_counter() - wall, "cpu_seconds": sum(os.times()[:2]) - cpu}
    guides = {name: Path(job[name]) for name in GUIDES if name in job}
    at_atlas = Path(job["atlas_landmarks"]) if "atlas_landmarks" in job else None
    request = Request(
        atlases=(Atlas(Path(job["atlas"]), Path(job["atlas_labels"]), landmarks=at_atlas),),
        target=Path(job["target"]),
        output=Path(job["output"]),
        **guides,
        corrected=tuple(job.get("corrected", ())),
        quality=Quality(job["method"]),
        similarity=Similarity(job["similarity"]),
        device=Device(job["device"]),
        threads=job["threads"],
    )
    result = run(request, lambda event: None, lambda: False)
    quality = result.quality
    steps = {step.step: asdict(step) for step in quality.steps}
    outcome = {
        "steps": {"imports": imports, **steps},
        "seconds": sum(steps[name]["seconds"] for name in TIMED),
        "cpu_seconds": sum(steps[name]["cpu_seconds"] for name in TIMED),
        "peak_mb": max(steps[name]["peak_mb"] for name in TIMED),
        "field": str(result.path(FIELD)),
        "labels": str(result.path(LABELS)),
        "measures": {measure.key: measure.value for measure in quality.measures},
        "cautions": [caution.code for caution in quality.cautions],
    }
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
