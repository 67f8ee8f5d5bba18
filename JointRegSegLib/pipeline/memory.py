"""How large a working grid the memory allows.

The constants are fitted to peaks of whole runs (Linux, PyTorch 2.13 for the CPU, glibc keeping freed memory as in the
worker): scans of 0.1 to 5.8 million voxels, working grids of 0.1 to 4.4 million. Beside the base and 20 B for each
input voxel, a working voxel took 219 to 223 B with local correlation, 180 with mean squares, 276 with MIND, and where
voxels are left out 288 with local correlation and 338 with MIND. Without a deformable stage to speak of, an input
voxel took 61 B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..job import Code, JobError, Request, Similarity
from ..registration import Scan, working_grid
from ..volumes import Grid
from .machine import free_memory, peak_memory
from .progress import Progress

BASE = 355e6
WHILE_DEFORMING = 20.0
WITH_FIELDS = 65.0
PER_WORKING_VOXEL = 230.0
PER_WORKING_VOXEL_COSTLY = 345.0
PER_SOFT_LABEL = 3.0
"""Both sides' bytes, and an eighth of them on each coarser level; what one structure's pull takes is soon free."""
_SHARE_OF_FREE = 0.8
_LEAST_VOXELS = 20e3


def predicted_peak(inputs: float, working: float, costly: bool) -> float:
    """Bytes that a run on the CPU takes at most.

    Args:
        inputs: voxels of target and atlas together.
        working: voxels of the working grid.
        costly: whether the similarity is MIND or voxels are left out of the comparison.
    """
    each = PER_WORKING_VOXEL_COSTLY if costly else PER_WORKING_VOXEL
    return BASE + max(WHILE_DEFORMING * inputs + each * working, WITH_FIELDS * inputs)


@dataclass(frozen=True)
class Budget:
    """The memory that a run may take.

    Attributes:
        allowed: bytes where the deformable stage computes.
        fixed: bytes of them that go elsewhere, whatever the working grid.
        weighted: whether voxels are left out of the comparison.
        soft_labels: how many structures pull too, which takes `PER_SOFT_LABEL` bytes each for a working voxel.
    """

    allowed: float
    fixed: float
    weighted: bool
    soft_labels: int = 0

    @classmethod
    def of(
        cls,
        request: Request,
        target: Scan,
        atlas: Scan,
        device: torch.device,
        held: float = 0.0,
        soft_labels: int = 0,
    ) -> Budget:
        """The budget on this machine. Raises `JobError` OUT_OF_MEMORY where the scans alone are too large.

        Args:
            held: bytes that something else takes.
            soft_labels: how many structures pull.
        """
        weighted = any(scan.cut or scan.weight is not None for scan in (target, atlas))
        inputs = float(target.image.numel() + atlas.image.numel())
        # What the process holds already, the scans among it, is part of the prediction.
        own = math.inf if request.memory_gb is None else request.memory_gb * 1e9
        allowed = min(own, peak_memory() + _SHARE_OF_FREE * free_memory())
        needed = predicted_peak(inputs, 0.0, weighted) + held
        if allowed < needed:
            raise _too_little(allowed, needed)
        if device.type == "cuda":
            return cls(min(own, _SHARE_OF_FREE * torch.cuda.mem_get_info(device)[0]), 0.0, weighted, soft_labels)
        return cls(allowed, BASE + WHILE_DEFORMING * inputs + held, weighted, soft_labels)

    def working_grid(self, target: Scan, most_voxels: float, similarity: Similarity) -> Grid:
        """The finest working grid of at most `most_voxels` that the memory allows.

        Raises `JobError` OUT_OF_MEMORY where even a coarse one would not fit.
        """
        costly = self.weighted or similarity is Similarity.MIND
        each = PER_WORKING_VOXEL_COSTLY if costly else PER_WORKING_VOXEL
        each += PER_SOFT_LABEL * self.soft_labels
        affordable = (self.allowed - self.fixed) / each
        if affordable < _LEAST_VOXELS:
            raise _too_little(self.allowed, self.fixed + _LEAST_VOXELS * each)
        return working_grid(target, min(most_voxels, affordable))

    def explain(self, chosen: Grid, target: Scan, most_voxels: float, progress: Progress) -> None:
        """Tell the user where the memory made the working grid coarser than the quality asks for."""
        wanted = working_grid(target, most_voxels)
        if wanted.size != chosen.size:
            progress.caution(
                "memory",
                f"The memory ({self.allowed / 1e9:.1f} GB may be used) is short for voxels of "
                f"{min(wanted.spacing):.2g} mm; the registration works on voxels of {min(chosen.spacing):.2g} mm.",
            )


def _too_little(allowed: float, needed: float) -> JobError:
    return JobError(
        Code.OUT_OF_MEMORY,
        f"These scans need at least {needed / 1e9:.2f} GB of memory; {allowed / 1e9:.2f} GB may be used.",
        "Close other programs, crop the scans, or allow more memory.",
    )
