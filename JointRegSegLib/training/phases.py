"""What a training procedure is made of: phases, one after another, each training some parameters on some subjects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from JointRegSegLib.networks.joint import JointModel

from .dataset import Sample
from .samplers import Sampler
from .schedules import Schedule
from .terms import Losses


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, ICLR 2015); `lr` may depend on the steps done, `weight_decay` is added to the gradient."""

    lr: Schedule
    weight_decay: float = 0.0


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step computes on.

    Attributes:
        items: for each item that was drawn its subjects, on the training device; of a pair (moving, fixed).
        step: steps that were done under the phase's name before this one.
        random: for each item a generator that depends on the seed, the phase's name and the draw alone.
    """

    items: tuple[tuple[Sample, ...], ...]
    step: int
    random: tuple[torch.Generator, ...]

    def images(self, column: int) -> Tensor:
        """The images of all items' subject number `column`, (B, 1, D, H, W)."""
        return torch.cat([item[column].image for item in self.items])

    def labels(self, column: int) -> Tensor | None:
        """The classes of all items' subject number `column`, (B, 1, D, H, W), or None where one has none."""
        labels = [item[column].label for item in self.items]
        known = [label for label in labels if label is not None]
        return torch.cat(known) if len(known) == len(labels) else None


@dataclass(frozen=True, eq=False)
class Phase:
    """Some steps that train the same groups in the same way.

    What must outlast a phase is kept by `name`: the optimisers' state, the place in the sampler and the number of steps
    that schedules count. An alternation is two names in turn; whoever wants a fresh optimiser takes a new name.

    Attributes:
        name: what curves call it.
        steps: how many; 0 for a phase that is only its `on_enter`.
        groups: the parameter groups that are trained; all else is frozen and in eval mode.
        sampler: what the steps draw from.
        step: from a batch to its losses. It may instead add gradients to the parameters itself and return a total
            without one. Everything random comes from the batch's generators or from PyTorch's own, which is seeded
            for each step.
        optimiser: one is made for each group.
        batch: items of one draw.
        reading: groups that are not trained but whose gradients `step` needs; in eval mode.
        stage: phases of one stage end together, when validation no longer gets better or when their time is up; the
            name where empty.
        until: the share of a run's budget in minutes after which the stage's time is up, 0 to 1; None for never.
        on_enter, on_exit: before the first and after the last step, with everything frozen and in eval mode.
        after_step: after each optimiser step, likewise.

    Hooks change the model or what the strategy's `state_dict` holds, nothing else.
    """

    name: str
    steps: int
    groups: tuple[str, ...] = ()
    sampler: Sampler | None = None
    step: Callable[[Batch], Losses] | None = None
    optimiser: Adam = Adam(1e-4)
    batch: int = 1
    reading: tuple[str, ...] = ()
    stage: str = ""
    until: float | None = None
    on_enter: Callable[[], None] | None = None
    after_step: Callable[[], None] | None = None
    on_exit: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        if self.steps and (self.sampler is None or self.step is None):
            raise ValueError(f"the phase {self.name} has steps, but no sampler or no step function")


class Strategy(ABC):
    """A training procedure as a sequence of phases that a killed run can take up anywhere."""

    @abstractmethod
    def phase(self, index: int) -> Phase | None:
        """Phase number `index`, or None after the last.

        A function of the index and of what `state_dict` holds: it is asked again when a run goes on, and must change
        nothing.
        """

    @property
    @abstractmethod
    def total_steps(self) -> int:
        """About how many steps there are in all; for progress alone."""

    def phases(self) -> Iterator[Phase]:
        """All phases in turn."""
        for index in count():
            if (phase := self.phase(index)) is None:
                return
            yield phase

    def state_dict(self) -> dict[str, Any]:
        """What was learnt beside the model, a teacher say, as tensors, numbers, texts, lists and dictionaries."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        del state


@contextmanager
def training_only(model: JointModel, *groups: str, reading: tuple[str, ...] = ()) -> Iterator[None]:
    """Train exactly these parameter groups; the others are frozen and in eval mode. All is as before at the end.

    Parameters of `reading` get gradients, but their modules are in eval mode. A module without parameters goes with
    the one that holds it. `ValueError` where the model has no such group.
    """
    owned = model.groups()
    if unknown := {*groups, *reading} - set(owned):
        raise ValueError(f"the model has the groups {sorted(owned)}, not {sorted(unknown)}")
    trained = {id(p) for name, parameters in owned.items() if name in groups for p in parameters}
    read = {id(p) for name, parameters in owned.items() if name in reading for p in parameters}
    frozen_before = [(p, p.requires_grad) for p in model.parameters()]
    modes_before = [(module, module.training) for module in model.modules()]
    try:
        for p in model.parameters():
            p.requires_grad_(id(p) in trained or id(p) in read)
        _set_modes(model, trained, False)
        yield
    finally:
        for p, flag in frozen_before:
            p.requires_grad_(flag)
        for module, mode in modes_before:
            module.training = mode


def _set_modes(module: nn.Module, trained: set[int], inherited: bool) -> None:
    own = [id(p) in trained for p in module.parameters()]
    module.training = any(own) if own else inherited
    for child in module.children():
        _set_modes(child, trained, module.training)
