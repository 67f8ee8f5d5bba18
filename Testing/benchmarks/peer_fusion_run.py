"""Joint label fusion of ANTs in the peers' environment: `python peer_fusion_run.py JOB`. Imports no code of ours."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

MARGIN = 3
"""Voxels around all labels where the filter decides."""


def main():
    """Fuse warped label maps with ANTsPy's defaults, and hand on what it used, reading and writing left out.

    Background is made a label of its own: by default ANTs gives every voxel of the mask to a structure.
    """
    import ants
    import numpy as np
    from scipy import ndimage

    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    target = ants.image_read(job["target"])
    images = [ants.image_read(file) for file in job["images"]]
    maps = [ants.image_read(file) for file in job["maps"]]
    wall, cpu = time.perf_counter(), sum(os.times()[:2])
    labelled = np.any([one.numpy() > 0 for one in maps], axis=0)
    mask = target.new_image_like(ndimage.binary_dilation(labelled, iterations=MARGIN).astype("float32"))
    found = ants.joint_label_fusion(target, mask, images, label_list=maps, max_lab_plus_one=True)
    used = {"seconds": time.perf_counter() - wall, "cpu_seconds": sum(os.times()[:2]) - cpu}
    ants.image_write(found["segmentation"], job["labels"])
    Path(job["outcome"]).write_text(json.dumps(used), encoding="utf-8")


if __name__ == "__main__":
    main()
