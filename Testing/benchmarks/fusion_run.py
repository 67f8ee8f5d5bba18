"""One fusion of ours in its own process: `python -m Testing.benchmarks.fusion_run JOB`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Fuse warped label maps and hand on what it used, reading and writing left out."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import numpy as np
    import torch

    from JointRegSegLib.fusion import best_matches, combine
    from JointRegSegLib.job import Fusion
    from JointRegSegLib.pipeline.devices import limit_threads
    from JointRegSegLib.pipeline.machine import peak_memory
    from JointRegSegLib.pipeline.several import stacked
    from JointRegSegLib.volumes import LabelMap, read_label_map, read_volume, write_label_map

    limit_threads(job["threads"])
    maps = [read_label_map(Path(file)) for file in job["maps"]]
    target = read_volume(Path(job["target"]))
    wall, cpu = time.perf_counter(), sum(os.times()[:2])
    with torch.inference_mode():
        stack, box = stacked(target, maps, (read_volume(Path(file)) for file in job["images"]))
        name, _, search = job["method"].partition("-")
        found = combine(best_matches(stack, 1) if search else stack, Fusion(name))
    used = {"seconds": time.perf_counter() - wall, "cpu_seconds": sum(os.times()[:2]) - cpu}
    labels = np.zeros(target.grid.shape, np.uint16)
    labels[box] = found.labels
    write_label_map(Path(job["labels"]), LabelMap(labels, target.grid, maps[0].table))
    outcome = {**used, "peak_mb": peak_memory() / 1e6, "confidence": float(found.confidence[found.labels > 0].mean())}
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
