"""Named parts of an objective, and their weighted sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from .schedules import Schedule, at

Inputs = TypeVar("Inputs")


@dataclass(frozen=True)
class LossTerm(Generic[Inputs]):
    """One part of an objective.

    Attributes:
        name: what curves and errors call it.
        fn: from whatever a step computed to the loss of each sample, (B,), or one number.
        weight: in the sum; may depend on the steps done.
        groups: the parameter groups that its gradient may reach.
    """

    name: str
    fn: Callable[[Inputs], Tensor]
    weight: Schedule
    groups: frozenset[str]


@dataclass(frozen=True, eq=False)
class Losses:
    """What a step lost.

    Attributes:
        total: what is minimised, one number. Training follows its gradient; where it has none, the step has either
            written gradients into the parameters itself or has nothing to teach.
        parts: name -> value, unweighted, for curves and errors.
    """

    total: Tensor
    parts: Mapping[str, Tensor]


def weighted_sum(terms: Iterable[LossTerm[Inputs]], inputs: Inputs, step: int) -> Losses:
    """The weighted sum of the terms' means over the batch; a term of weight 0 is not computed.

    `ValueError` where no term has a weight.
    """
    total: Tensor | None = None
    parts: dict[str, Tensor] = {}
    for term in terms:
        if (weight := at(term.weight, step)) == 0:
            continue
        value = term.fn(inputs).mean()
        parts[term.name] = value.detach()
        total = value * weight if total is None else total + value * weight
    if total is None:
        raise ValueError("no term of the objective has a weight")
    return Losses(total, parts)
