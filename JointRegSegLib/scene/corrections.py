"""What a user changed in a result's segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..job import Code, JobError, Result
from ..job import result as files
from ..volumes import LabelMap, present_values, read_label_map
from .geometry import RAS_LPS, Voxels, ijk_to_ras
from .labels import layers_on, oriented_image, overlap, segment_id, with_label_maps
from .outputs import RunNodes
from .translation import quoted
from .translation import tr as _


@dataclass(frozen=True)
class Changes:
    """A result's labels as the user left them.

    Attributes:
        labels: all of them, on the target's grid.
        values: of the structures that the user corrected: they gained voxels, or lost some to the background. One that
            lost voxels to a corrected structure alone was not corrected itself.
        ignored: names of segments that the result does not have.
    """

    labels: LabelMap
    values: tuple[int, ...]
    ignored: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the corrected structures are called."""
        return tuple(self.labels.table[value].name for value in self.values)


def find_changes(scene: Any, run: RunNodes, result: Result) -> Changes:
    """Compare a result's segmentation in the scene with what the run gave.

    Where two segments share a voxel, the one that was not there before has it. A segment that was removed counts as
    erased.

    Args:
        scene: of the nodes.
        run: the loaded result.
        result: its files.

    Raises `JobError`: REQUEST_INVALID where the segmentation is gone or was put under a transform; SEGMENTS_OVERLAP
    where two corrected structures share voxels.
    """
    node = scene.GetNodeByID(run.segmentation)
    if node is None:
        raise JobError(Code.REQUEST_INVALID, _("The segmentation of this result was deleted."), _("Run again."))
    if node.GetParentTransformNode() is not None:
        raise JobError(
            Code.REQUEST_INVALID,
            _("The segmentation {name} is under a transform.").format(name=quoted(node.GetName())),
            _("Take it out of the transform: corrections belong where the target is."),
        )
    earlier = read_label_map(result.path(files.SEGMENTATION))
    values = {segment_id(value): value for value in earlier.table}
    segments = node.GetSegmentation()
    ignored = tuple(segments.GetSegment(i).GetName() for i in segments.GetSegmentIDs() if i not in values)
    before = earlier.array.astype(np.uint16)
    after = _merged(node, earlier, values, before) if segments.GetNumberOfSegments() else np.zeros_like(before)
    differs = after != before
    corrected = {*present_values(after[differs]), *present_values(before[differs & (after == 0)])}
    order = tuple(value for value in earlier.table if value in corrected)
    return Changes(LabelMap(after, earlier.grid, earlier.table), order, ignored)


def _merged(node: Any, earlier: LabelMap, values: dict[str, int], before: NDArray[np.uint16]) -> NDArray[np.uint16]:
    like = Voxels(before, RAS_LPS @ earlier.grid.matrix)
    segmentation = with_label_maps(node, like)[0]
    geometry = oriented_image(np.zeros(before.shape, np.uint8), ijk_to_ras(earlier.grid))
    merged = np.zeros_like(before)
    for layer in layers_on(segmentation, geometry, values):
        both = (merged > 0) & (layer > 0)
        conflict = both & (merged != before) & (layer != before)
        if conflict.any():
            first, second = (int(part[conflict][0]) for part in (merged, layer))
            raise overlap(node, earlier.table[first].name, earlier.table[second].name)
        merged = np.where((layer > 0) & (~both | (merged == before)), layer, merged)
    return merged
