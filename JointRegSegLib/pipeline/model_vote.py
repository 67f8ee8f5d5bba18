"""A trained method's segmentation as one more voter beside several atlases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fields import Box, affine_positions, displaced_positions, sample
from ..fusion import Opinion, Stack, learned_weight
from ..job import Fusion, Request
from ..job.request import OPTIMISATION
from ..registration import inside
from ..volumes import Volume, read_field, read_volume
from .progress import Progress

_EVERY = 2
"""Voxels along each axis from one that is looked at to the next, when the weight is learned."""


def model_vote(
    request: Request,
    target: Volume,
    stack: Stack,
    box: Box,
    registered: Sequence[tuple[Path, Path]],
    device: torch.device,
    progress: Progress,
) -> Opinion | None:
    """What the request's model says of the target, with the weight that finds the atlases' own labels best.

    The atlases may have trained the model, which then knows them better than the target: the weight is asked for only
    where the model's validation trusts its segmentation.

    Args:
        stack: of the atlases, on the part `box` of the target's grid.
        registered: of each atlas of the stack its image and its field.

    Returns: None where there is no model, where its segmentation is not trusted, and for STAPLE.
    """
    if request.method == OPTIMISATION or request.model is None or request.fusion is Fusion.STAPLE:
        return None
    from .trained import TrainedModel  # needs safetensors, which the optimisation does without

    model = TrainedModel.load(request.model, request.method, device)
    if not (request.model_votes and model.use(request.refinement).fused):
        return None
    values = np.array([0, *(label.value for label in model.structures)], np.uint16)
    lattice = target.grid.part(box)

    def said() -> Iterator[NDArray[np.float16]]:
        for image, field in registered:
            probabilities, grid = model.segmentation(read_volume(image))
            vectors = np.ascontiguousarray(read_field(field)[0][box])
            places = displaced_positions(vectors, lattice, grid)[:, :, ::_EVERY, ::_EVERY, ::_EVERY]
            yield _sampled(probabilities, places)

    weight = learned_weight(_thinned(stack), request.fusion, values, said())
    progress.log(
        f"The model's vote weighs {weight:g}, all atlases together 1: so the atlases' own labels are found best."
    )
    probabilities, grid = model.segmentation(target)
    places = affine_positions(lattice, grid, np.eye(4), probabilities)
    known = inside(places, grid.shape)[0, 0].numpy()
    return Opinion(values, _sampled(probabilities, places), weight, known)


def _thinned(stack: Stack) -> Stack:
    step = (slice(None, None, _EVERY),) * 3
    d, h, w = (mm * _EVERY for mm in stack.spacing)
    images, labels = (np.ascontiguousarray(array[(slice(None), *step)]) for array in (stack.images, stack.labels))
    return Stack(np.ascontiguousarray(stack.target[step]), images, labels, (d, h, w))


def _sampled(probabilities: Tensor, places: Tensor) -> NDArray[np.float16]:
    """Probabilities (1, K, D, H, W) at places (1, 3, d, h, w) in their voxels, (K, d, h, w)."""
    shares = [sample(share, places)[0, 0].half().numpy() for share in probabilities.split(1, 1)]
    return np.stack(shares)
