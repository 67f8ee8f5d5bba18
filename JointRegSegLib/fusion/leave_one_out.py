"""How much a network's vote should weigh, learned from the atlases: each in turn is the target of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..job.fusion import Fusion
from ..metrics import dice
from .combine import combine
from .opinion import Opinion
from .stack import Stack

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


def learned_weight(
    stack: Stack,
    how: Fusion,
    values: NDArray[np.uint16],
    said: Iterable[NDArray[np.floating]],
    candidates: Sequence[float] = WEIGHTS,
) -> float:
    """The weight at which the other atlases and the network together find each atlas's labels best.

    All of it happens on the target's grid, so that no registration is needed that was not made already: two atlases
    meet by way of the target.

    Args:
        stack: at least two atlases.
        how: the votes are fused.
        values: labels of the network's classes, background first, (K,).
        said: of each atlas the network's probabilities for its image, carried to the target, (K, D, H, W); asked for
            one at a time.
        candidates: weights to choose from, where all atlases together weigh 1.

    Returns: the candidate with the largest mean Dice, of equal ones the smallest. 0 for a single atlas, which has
        nothing to be compared with.
    """
    if len(stack) < 2:
        return 0.0
    scores = dict.fromkeys(sorted(candidates), 0.0)
    for number, (image, truth, probabilities) in enumerate(zip(stack.images, stack.labels, said, strict=True)):
        others = np.delete(np.arange(len(stack)), number)
        rest = Stack(image.astype(np.float32), stack.images[others], stack.labels[others], stack.spacing)
        for weight in scores:
            found = combine(rest, how, Opinion(values, probabilities, weight) if weight else None)
            scores[weight] += float(np.mean(list(dice(found.labels, truth).values()) or [0.0]))
    return max(scores, key=lambda weight: (scores[weight], -weight))
