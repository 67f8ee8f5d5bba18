"""The training procedure of PGCNet: both tasks at once, at first without the loss that joins their results."""

from __future__ import annotations

from JointRegSegLib.training.dataset import Dataset
from JointRegSegLib.training.phases import Adam, Batch, Phase, Strategy
from JointRegSegLib.training.samplers import AllOrderedPairs, AtlasPairs
from JointRegSegLib.training.schedules import ends, ramp
from JointRegSegLib.training.terms import Losses, weighted_sum

from .model import CoupledPyramid
from .objectives import PairView, first_terms, joint_terms
from .settings import Settings


class PgcNet(Strategy):
    """Two stages of one optimiser on pairs of a labelled scan, which moves, and an unlabelled one.

    It lays out the model's position maps for the training grid. With labels on all scans, each moves onto each other.
    """

    def __init__(self, settings: Settings, model: CoupledPyramid, dataset: Dataset) -> None:
        depth, height, width = reversed(dataset.frame.size)
        model.lay_out((depth, height, width))
        self._model, self._classes = model, dataset.structures.classes
        self._procedure, seed = settings.strategy, settings.trainer.seed
        self._first = first_terms(settings.loss)
        alone = settings.model.sharing == "nothing"
        self._joint = self._first if alone else joint_terms(settings.loss)
        self._pairs = (
            AtlasPairs(dataset.labelled, dataset.unlabelled, seed)
            if dataset.unlabelled
            else AllOrderedPairs(dataset.labelled, seed)
        )

    def phase(self, index: int) -> Phase | None:
        p = self._procedure
        stages = [("first", p.first_steps, self.begin), ("joint", p.joint_steps, self.join)]
        if index >= len(stages):
            return None
        stage, steps, step = stages[index]
        groups, until = tuple(self._model.groups()), ends(p.shares)[index]
        rate = Adam(ramp(p.lr / p.warm_up, p.lr, p.warm_up))
        return Phase("pairs", steps, groups, self._pairs, step, rate, p.batch, stage=stage, until=until)

    @property
    def total_steps(self) -> int:
        return self._procedure.first_steps + self._procedure.joint_steps

    def begin(self, batch: Batch) -> Losses:
        """A step on the objectives of registration and of segmentation."""
        return weighted_sum(self._first, PairView(self._model, batch, self._classes), batch.step)

    def join(self, batch: Batch) -> Losses:
        """A step that also asks both segmentations to agree after registration."""
        return weighted_sum(self._joint, PairView(self._model, batch, self._classes), batch.step)
