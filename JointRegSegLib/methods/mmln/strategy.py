"""The training procedure of MMLN: one level of the pyramid after another, from images alone."""

from __future__ import annotations

from dataclasses import replace

from JointRegSegLib.networks import Group
from JointRegSegLib.training.dataset import Dataset
from JointRegSegLib.training.phases import Adam, Batch, Phase, Strategy
from JointRegSegLib.training.samplers import AllOrderedPairs
from JointRegSegLib.training.schedules import ends
from JointRegSegLib.training.terms import Losses, weighted_sum

from .model import LEVELS, LaplacianPyramid
from .objectives import LevelView, level_terms
from .settings import Settings


class Mmln(Strategy):
    """Each level on its own objective; for its first steps the levels below are frozen, then they learn along.

    Every training scan moves onto every other one.
    """

    def __init__(self, settings: Settings, model: LaplacianPyramid, dataset: Dataset) -> None:
        self._model, self._procedure = model, settings.strategy
        self._terms = [level_terms(settings.loss, model, number) for number in range(len(LEVELS))]
        self._pairs = AllOrderedPairs([*dataset.labelled, *dataset.unlabelled], settings.trainer.seed)
        self._phases = [phase for number in range(len(LEVELS)) for phase in self._level(number)]

    def phase(self, index: int) -> Phase | None:
        return self._phases[index] if index < len(self._phases) else None

    @property
    def total_steps(self) -> int:
        return sum(self._procedure.steps)

    def train(self, batch: Batch, number: int) -> Losses:
        """A step on the objective of level 0, 1 or 2."""
        return weighted_sum(self._terms[number], LevelView(self._model, batch, number), batch.step)

    def _level(self, number: int) -> list[Phase]:
        """The phases of one level: with the levels below frozen, then with all that it stands on."""
        p, name = self._procedure, f"level {number + 1}"
        branches = [group for group in self._model.groups() if group == "aux"]
        groups: list[Group] = [*LEVELS[: number + 1], *branches]
        learning = Phase(
            name,
            p.steps[number],
            tuple(groups),
            self._pairs,
            lambda batch: self.train(batch, number),
            Adam(p.lr),
            p.batch,
            until=ends(p.shares)[number],
        )
        if number == 0:
            return [learning]
        first = min(p.frozen_steps, p.steps[number])
        frozen = replace(learning, steps=first, groups=tuple(groups[number:]))
        return [frozen, replace(learning, steps=p.steps[number] - first)]
