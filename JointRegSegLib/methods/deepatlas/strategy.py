"""The training procedure of DeepAtlas: each network alone, then both in turn."""

from __future__ import annotations

import dataclasses

import torch

from JointRegSegLib.fields import shape_of
from JointRegSegLib.networks import TwoNetModel
from JointRegSegLib.training.augmentation import move, random_flip
from JointRegSegLib.training.dataset import Dataset
from JointRegSegLib.training.phases import Adam, Batch, Phase, Strategy
from JointRegSegLib.training.samplers import AllOrderedPairs, AvailabilityBuckets, Images
from JointRegSegLib.training.schedules import decayed, ends
from JointRegSegLib.training.terms import Losses, weighted_sum

from .objectives import (
    LabelledView,
    RegistrationView,
    SegmentationView,
    alignment_terms,
    registration_terms,
    segmentation_terms,
    supervision_terms,
)
from .settings import Settings

_TURNS = {"1:20": (1, 20), "5:40": (5, 40), "5:10": (5, 10)}


class DeepAtlas(Strategy):
    """Registration alone; segmentation alone, or against the registration network; then both in turn."""

    def __init__(self, settings: Settings, model: TwoNetModel, dataset: Dataset) -> None:
        self._model, self._classes = model, dataset.structures.classes
        self._procedure, self._labelled = settings.strategy, dataset.labelled
        depth, height, width = reversed(dataset.frame.size)
        self._alignment = alignment_terms(settings.loss, (depth, height, width))
        self._registration = registration_terms(settings.loss, (depth, height, width))
        self._supervision = supervision_terms(settings.loss)
        self._segmentation = segmentation_terms(settings.loss)
        n, m, seed = len(dataset.labelled), len(dataset.unlabelled), settings.trainer.seed
        teaching = {"01": n * m, "10": n * m, "11": n * (n - 1)}
        self._images = Images(dataset.labelled, seed)
        self._every_pair = AllOrderedPairs([*dataset.labelled, *dataset.unlabelled], seed)
        self._pairs = AvailabilityBuckets(dataset.labelled, dataset.unlabelled, seed)
        self._teaching_pairs = AvailabilityBuckets(dataset.labelled, dataset.unlabelled, seed + 1, teaching)
        self._phases = self._planned()

    def phase(self, index: int) -> Phase | None:
        return self._phases[index] if index < len(self._phases) else None

    @property
    def total_steps(self) -> int:
        return sum(phase.steps for phase in self._phases)

    def align(self, batch: Batch) -> Losses:
        """A step of registration without any segmentation."""
        return weighted_sum(self._alignment, RegistrationView(self._model, batch, self._classes), batch.step)

    def register(self, batch: Batch) -> Losses:
        """A step of registration; what is not labelled, the segmentation network labels."""
        return weighted_sum(self._registration, RegistrationView(self._model, batch, self._classes), batch.step)

    def supervise(self, batch: Batch) -> Losses:
        """A step of segmentation on labelled scans alone, mirrored at random."""
        items = tuple(
            (move(scan, random_flip(shape_of(scan.image), self._procedure.flips, random)),)
            for (scan,), random in zip(batch.items, batch.random, strict=True)
        )
        view = LabelledView(self._model, dataclasses.replace(batch, items=items), self._classes)
        return weighted_sum(self._supervision, view, batch.step)

    def segment(self, batch: Batch) -> Losses:
        """A step of segmentation; pairs without any label teach nothing."""
        items = tuple(item for item in batch.items if any(scan.label is not None for scan in item))
        if not items:
            return Losses(torch.zeros(()), {})
        view = SegmentationView(self._model, dataclasses.replace(batch, items=items), self._classes)
        return weighted_sum(self._segmentation, view, batch.step)

    def both(self, batch: Batch) -> Losses:
        """A step of both networks, each on its own objective."""
        registration, segmentation = self.register(batch), self.segment(batch)
        parts = {f"reg {name}": value for name, value in registration.parts.items()}
        parts |= {f"seg {name}": value for name, value in segmentation.parts.items()}
        return Losses(registration.total + segmentation.total, parts)

    def _planned(self) -> list[Phase]:
        p = self._procedure
        turns = self._turns() if p.scheme == "alternate" else []
        until = ends(p.shares if turns else p.shares[:2])
        first = [self._registration_alone(until[0]), self._segmentation_first(until[1])]
        return first + [dataclasses.replace(phase, stage="joint", until=1.0) for phase in turns]

    def _registration_alone(self, until: float) -> Phase:
        p = self._procedure
        return Phase(
            "reg alone", p.reg_steps, ("reg",), self._every_pair, self.align, Adam(p.reg_lr), p.batch, until=until
        )

    def _segmentation_first(self, until: float) -> Phase:
        """Against the registration network where that was asked for, or by `semi_first` with a single labelled scan."""
        p = self._procedure
        rate = Adam(decayed(p.seg_lr, 0.2, max(p.seg_steps // 2, 1)))
        if p.scheme == "semi" or (p.scheme == "alternate" and p.semi_first and len(self._labelled) == 1):
            name, sampler, step = "seg against reg", self._teaching_pairs, self.segment
            return Phase(name, p.seg_steps, ("seg",), sampler, step, rate, p.batch, until=until)
        return Phase("seg alone", p.seg_steps, ("seg",), self._images, self.supervise, rate, p.batch, until=until)

    def _turns(self) -> list[Phase]:
        p = self._procedure
        reg, seg = Adam(p.reg_lr), Adam(p.turn_lr or p.seg_lr)
        if p.alternation == "joint":
            return [Phase("both", p.joint_steps, ("reg", "seg"), self._pairs, self.both, reg, p.batch)]
        segs, regs = _TURNS[p.alternation]
        turn = [
            Phase("reg", regs, ("reg",), self._pairs, self.register, reg, p.batch),
            Phase("seg", segs, ("seg",), self._teaching_pairs, self.segment, seg, p.batch),
        ]
        return turn * (p.joint_steps // (regs + segs))
