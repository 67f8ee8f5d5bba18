"""The training procedure of SynthMorph: each step makes its images anew."""

from __future__ import annotations

from dataclasses import replace

import torch

from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.label_maps import classes_of
from JointRegSegLib.training.phases import Adam, Batch, Phase, Strategy
from JointRegSegLib.training.samplers import AllOrderedPairs, Sampler, Shuffled
from JointRegSegLib.training.schedules import ramp
from JointRegSegLib.training.synthesis import deformed, draws, synthesised, without
from JointRegSegLib.training.terms import Losses, weighted_sum

from .model import VelocityModel
from .objectives import LabelledPairs, terms
from .settings import Settings


class SynthMorph(Strategy):
    """One phase; both label maps of a pair are deformed and painted independently of each other.

    Only labelled subjects are drawn, and their images are not looked at.
    """

    def __init__(self, settings: Settings, model: VelocityModel, dataset: Dataset) -> None:
        self._model, self._how, self._procedure = model, settings.synthesis, settings.strategy
        self._classes, self._spacing = dataset.structures.classes, dataset.frame.spacing
        self._outside = classes_of(dataset.structures, settings.synthesis.outside)
        self._terms = terms(settings.loss)
        self._pairs = self._sampler(dataset.labelled, settings.trainer.seed)

    def phase(self, index: int) -> Phase | None:
        p = self._procedure
        if index:
            return None
        rate = Adam(ramp(p.lr / p.warm_up, p.lr, p.warm_up))
        return Phase("pairs", p.steps, ("reg",), self._pairs, self.train, rate, p.batch)

    @property
    def total_steps(self) -> int:
        return self._procedure.steps

    def train(self, batch: Batch) -> Losses:
        """A step on images that were never seen before."""
        items = tuple(self.paint(item, random) for item, random in zip(batch.items, batch.random, strict=True))
        view = LabelledPairs(self._model, replace(batch, items=items), self._classes)
        return weighted_sum(self._terms, view, batch.step)

    def paint(self, item: tuple[Sample, ...], random: torch.Generator) -> tuple[Sample, ...]:
        """Other samples of the same subjects: labels deformed, and images made of them."""
        stripped = draws(self._how.strip, random)
        made = []
        for sample in item:
            assert sample.label is not None
            labels = deformed(sample.label, self._spacing, self._how, random)
            labels = without(labels, self._outside) if stripped else labels
            image = synthesised(labels, self._classes, self._spacing, self._how, random)
            made.append(Sample(sample.id, image, labels))
        return tuple(made)

    def _sampler(self, labelled: tuple[str, ...], seed: int) -> Sampler:
        if self._procedure.subjects == "two" and len(labelled) > 1:
            return AllOrderedPairs(labelled, seed)
        return Shuffled([(name, name) for name in labelled], seed)
