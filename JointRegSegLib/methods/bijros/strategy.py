"""The training procedure of Bi-JROS: the encoder, then both decoders upon it in turn."""

from __future__ import annotations

import dataclasses

import torch

from JointRegSegLib.fields import shape_of
from JointRegSegLib.training.augmentation import move, random_turn
from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.phases import Adam, Batch, Phase, Strategy
from JointRegSegLib.training.samplers import AllOrderedPairs, AtlasPairs
from JointRegSegLib.training.schedules import ends, ramp
from JointRegSegLib.training.terms import Losses, weighted_sum

from .model import SharedEncoderModel
from .objectives import PairView, alignment_terms, common_terms, follower_terms, leader_terms, supervision_terms
from .response import with_response
from .settings import Settings


class BiJros(Strategy):
    """Everything at once for the sake of the encoder; then new decoders upon the frozen encoder, in turn.

    In a turn segmentation, the follower, makes a step on a pseudo image; then registration, the leader, makes one,
    which foresees the follower's response. Both see the same pair: a labelled atlas and an unlabelled target. With
    labels on all scans, each is an atlas of each other.
    """

    def __init__(self, settings: Settings, model: SharedEncoderModel, dataset: Dataset) -> None:
        self._model, self._classes = model, dataset.structures.classes
        self._procedure, self._sharing = settings.strategy, settings.model.sharing
        self._encoder_norm = settings.model.encoder_norm
        self._spacing = dataset.frame.spacing[::-1]
        loss, seed = settings.loss, settings.trainer.seed
        separate = [*alignment_terms(loss), *supervision_terms()]
        self._common = separate if self._sharing == "nothing" else common_terms(loss)
        self._leader, self._follower = leader_terms(loss), follower_terms()
        self._pairs = (
            AtlasPairs(dataset.labelled, dataset.unlabelled, seed)
            if dataset.unlabelled
            else AllOrderedPairs(dataset.labelled, seed)
        )
        self._first, self._turn = self._all_at_once(), self._steps_in_turn()

    def phase(self, index: int) -> Phase | None:
        if index == 0:
            return self._first
        return self._turn[(index - 1) % 2] if index <= 2 * self._turns else None

    @property
    def total_steps(self) -> int:
        return self._first.steps + 2 * self._turns

    def train_all(self, batch: Batch) -> Losses:
        """A step of everything at once."""
        return weighted_sum(self._common, PairView(self._model, batch, self._classes, None), batch.step)

    def segment(self, batch: Batch) -> Losses:
        """A step of the follower. What registration gives is constant for it."""
        return weighted_sum(self._follower, self._view(batch), batch.step)

    def register(self, batch: Batch) -> Losses:
        """A step of the leader, on a pair that is turned and scaled at random."""
        view = self._view(self._moved(batch))
        leader = weighted_sum(self._leader, view, batch.step)
        if not self._procedure.gradient_response:
            return leader
        follower = weighted_sum(self._follower, view, batch.step)
        total, response = with_response(leader.total, follower.total, self._model.groups()["seg"])
        return Losses(total, {**leader.parts, "response": response})

    @property
    def _turns(self) -> int:
        return self._procedure.turns if self._sharing == "frozen" else 0

    @property
    def _rate(self) -> Adam:
        p = self._procedure
        return Adam(ramp(p.lr / p.warm_up, p.lr, p.warm_up))

    def _all_at_once(self) -> Phase:
        """For the encoder; where it is not frozen afterwards, for as many steps as there are in all."""
        p, rate = self._procedure, self._rate
        first = Phase("all", p.encoder_steps, ("enc", "reg", "seg"), self._pairs, self.train_all, rate, p.batch)
        if self._sharing == "frozen":
            return dataclasses.replace(first, until=ends(p.shares)[0], on_exit=self._model.renew_decoders)
        return dataclasses.replace(first, steps=p.encoder_steps + 2 * p.turns, until=1.0)

    def _steps_in_turn(self) -> tuple[Phase, Phase]:
        p, rate = self._procedure, self._rate
        seg = Phase("seg", 1, ("seg",), self._pairs, self.segment, rate, p.batch, stage="turns", until=1.0)
        reading = ("seg",) if p.gradient_response else ()
        reg = dataclasses.replace(seg, name="reg", groups=("reg",), step=self.register, reading=reading)
        return seg, reg

    def _view(self, batch: Batch) -> PairView:
        p = self._procedure
        shares = [_between(p.appearance, random) for random in batch.random] if p.acc else None
        self._model.encoder.train(self._encoder_norm == "batch")
        return PairView(self._model, batch, self._classes, shares, p.second_warp)

    def _moved(self, batch: Batch) -> Batch:
        """The pairs, each moved by one turn and scale; what lies beyond a scan is zero."""
        items = zip(batch.items, batch.random, strict=True)
        return dataclasses.replace(batch, items=tuple(self._turned(item, random) for item, random in items))

    def _turned(self, item: tuple[Sample, ...], random: torch.Generator) -> tuple[Sample, ...]:
        p = self._procedure
        movement = random_turn(shape_of(item[0].image), p.degrees, p.scale, random, self._spacing)
        return tuple(move(scan, movement, "zeros") for scan in item)


def _between(limits: tuple[float, float], random: torch.Generator) -> float:
    low, high = limits
    return low + (high - low) * float(torch.rand(1, generator=random))
