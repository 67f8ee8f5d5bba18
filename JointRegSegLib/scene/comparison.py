"""What lies side by side in a result: target and warped atlas, found labels and known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics import dice
from ..volumes import LabelTable, present_values
from .geometry import ijk_to_ras, voxels_of, vtk_image
from .labels import labels_of_segmentation, table_of_label_map
from .outputs import RunNodes
from .translation import tr as _

_SQUARES = 8
_DARK, _BRIGHT = 1.0, 99.0


def checkerboard(scene: Any, run: RunNodes, target: Any) -> Any:
    """A volume node of target and warped atlas in turn, each scaled to the same shades; `None` where one is gone."""
    warped = scene.GetNodeByID(run.warped_atlas)
    if warped is None or target is None:
        return None
    shown = voxels_of(warped)
    grid = shown.world_grid()
    if grid is None:
        return None
    here, there = _shades(voxels_of(target).resampled(grid, nearest=False)), _shades(shown.array)
    side = max(1, max(grid.size) // _SQUARES)
    k, j, i = np.ogrid[tuple(slice(n) for n in grid.shape)]
    node = scene.AddNewNodeByClass(
        "vtkMRMLScalarVolumeNode", _("{target} checkerboard").format(target=target.GetName())
    )
    node.SetIJKToRASMatrix(ijk_to_ras(grid))
    node.SetAndObserveImageData(vtk_image(np.where((k // side + j // side + i // side) % 2, there, here)))
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.GetDisplayNode().SetWindowLevelMinMax(0.0, 255.0)
    return node


def reference_dice(scene: Any, run: RunNodes, reference: Any) -> dict[int, float]:
    """Dice of each found structure with the reference's structure of the same name, or else of the same value.

    Args:
        scene: of all.
        run: a loaded result.
        reference: a segmentation node or a label map volume node in the target's space.

    Returns: the result's label value -> Dice, 0 to 1; empty where the result's labels are gone.

    Raises `JobError`: what reading labels raises.
    """
    labels = scene.GetNodeByID(run.labels)
    if labels is None:
        return {}
    found = voxels_of(labels)
    grid = found.world_grid()
    if grid is None:
        return {}
    if reference.IsA("vtkMRMLSegmentationNode"):
        known, names = labels_of_segmentation(reference, found)
    else:
        known = voxels_of(reference)
        names = table_of_label_map(reference, present_values(known.array))
    table = table_of_label_map(labels, present_values(found.array))
    truth = _renamed(known.resampled(grid, nearest=True).astype(np.int64), names, table)
    return dice(found.array.astype(np.int64), truth, table)


def _shades(array: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = np.percentile(array, (_DARK, _BRIGHT))
    return np.clip((array - low) * (255.0 / max(float(high - low), 1e-9)), 0.0, 255.0).astype(np.uint8)


def _renamed(known: NDArray[np.int64], names: LabelTable, table: LabelTable) -> NDArray[np.int64]:
    """The reference with the result's values, where the two have names in common."""
    by_name = {label.name: value for value, label in table.items()}
    if not any(label.name in by_name for label in names.values()):
        return known
    lookup = np.zeros(max([*names, int(known.max(initial=0))]) + 1, np.int64)
    for value, label in names.items():
        lookup[value] = by_name.get(label.name, 0)
    return lookup[known]
