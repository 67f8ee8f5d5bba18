"""Improving a field that is nearly right, where something new is known.

What is left to find is a small displacement on top of the field: the moving image behind the field is registered to
the fixed one, coarse to fine, and both displacements are composed. So the detail of the field survives, and where
nothing is new, nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from JointRegSegLib.fields import Box, Shape, identity, sample, shape_of
from JointRegSegLib.job import Similarity

from .border import faded
from .deformable import register
from .landmarks import pinned
from .pair import Pair
from .presets import CONTINUED
from .unfold import unfold

_LEAST_SIDE = 32
_FADE = 8


def continue_from(
    pair: Pair,
    field: Tensor,
    regions: Sequence[Box] | None,
    similarity: Similarity,
    on_step: Callable[[float], None] = lambda done: None,
) -> Tensor:
    """The field with what the pair's labels and landmarks ask for worked in.

    Args:
        pair: the images, with soft labels or landmarks.
        field: (1, 3, D, H, W) in voxels of the pair's grid.
        regions: where something is new, boxes of voxels; None for everywhere.
        similarity: what counts as alike; not AUTO.
        on_step: told the share of the work done, 0 to 1; may raise to stop.
    """
    if pair.landmarks is not None:
        field = pinned(field, pair.landmarks, wide=False)
    d, h, w = shape_of(field)
    boxes = (
        [(slice(0, d), slice(0, h), slice(0, w))] if regions is None else [_roomy(box, (d, h, w)) for box in regions]
    )
    for number, box in enumerate(boxes):

        def tick(done: float, before: int = number) -> None:
            on_step((before + done) / len(boxes))

        update = register(_behind(pair, field, box), CONTINUED, similarity, tick)
        field = _composed(field, box, update if regions is None else faded(update, _FADE))
    return unfold(field if pair.landmarks is None else pinned(field, pair.landmarks, wide=False))


def _composed(field: Tensor, box: Box, update: Tensor) -> Tensor:
    """The field after a displacement of the voxels in a box."""
    corner = field.new_tensor([side.start for side in box]).view(1, 3, 1, 1, 1)
    points = identity(shape_of(update), update).add_(update).add_(corner)
    found = field.clone()
    found[(..., *box)] = sample(field, points).add_(update)
    return found


def _roomy(region: Box, shape: Shape) -> Box:
    """The region, each side at least 32 voxels long where the grid is."""
    sides = []
    for side, n in zip(region, shape, strict=True):
        more = max(_LEAST_SIDE - (side.stop - side.start), 0)
        start = max(min(side.start - more // 2, n - _LEAST_SIDE), 0)
        sides.append(slice(start, min(max(side.stop, start + _LEAST_SIDE), n)))
    return sides[0], sides[1], sides[2]


def _behind(pair: Pair, field: Tensor, box: Box) -> Pair:
    """The pair in a box, everything on the moving side seen through the field."""
    here = (..., *box)
    positions = (identity(shape_of(field), field) + field)[here]
    moving_weight, moving_labels = pair.moving_weight, pair.moving_labels
    size = [side.stop - side.start for side in box]
    return Pair(
        fixed=pair.fixed[here],
        moving=sample(pair.moving, positions),
        fixed_weight=None if pair.fixed_weight is None else pair.fixed_weight[here],
        moving_weight=None if moving_weight is None else sample(moving_weight, positions, padding="zeros"),
        grid=pair.grid.box((box[2].start, box[1].start, box[0].start), (size[2], size[1], size[0])),
        fixed_labels=None if pair.fixed_labels is None else pair.fixed_labels[here],
        moving_labels=None if moving_labels is None else _seen(moving_labels, positions),
        labels_weight=pair.labels_weight,
    )


def _seen(labels: Tensor, positions: Tensor) -> Tensor:
    """Shares (1, C, D, H, W) uint8 at positions."""
    shares = (sample(share.to(positions.dtype), positions).round_() for share in labels.split(1, 1))
    return torch.cat([share.to(labels.dtype) for share in shares], 1)
