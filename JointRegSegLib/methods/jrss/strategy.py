"""The training procedure of JRSS: each network alone, then rounds of pseudo-labels and of training in turn."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from JointRegSegLib.fields import shape_of
from JointRegSegLib.losses import root_weights
from JointRegSegLib.networks import TwoNetModel
from JointRegSegLib.training.augmentation import move, random_affine
from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.phases import Adam, Batch, Phase, Strategy
from JointRegSegLib.training.samplers import AllOrderedPairs, Images, LabelledOrAccepted, TwoStream
from JointRegSegLib.training.schedules import decayed, ends, ramp
from JointRegSegLib.training.targets import IGNORED
from JointRegSegLib.training.teacher import MeanTeacher
from JointRegSegLib.training.terms import Losses, weighted_sum

from .model import TaughtModel
from .objectives import (
    LabelledView,
    RegistrationView,
    StudentView,
    registration_terms,
    student_terms,
    supervision_terms,
)
from .screening import is_accepted, pseudo_labels
from .settings import Settings


class Jrss(Strategy):
    """Registration alone, segmentation alone; then rounds, in each of which the teacher labels all scans afresh.

    The teacher is the mean of the student over its steps, and what the model segments with. A round learns from the
    labelled scans and those whose pseudo-labels were accepted; while none is, all scans take part without labels.
    """

    def __init__(self, settings: Settings, model: TaughtModel, dataset: Dataset) -> None:
        self._model, self._dataset, self._classes = model, dataset, dataset.structures.classes
        self._procedure, self._noise = settings.strategy, settings.noise
        self._seed = settings.trainer.seed
        loss = settings.loss
        warm_up = ramp(loss.warm_up * loss.smoothness, loss.smoothness, loss.warm_up_steps)
        self._first_registration = registration_terms(loss, warm_up)
        self._registration = registration_terms(loss, loss.smoothness)
        self._supervision = supervision_terms()
        self._student = student_terms(loss, root_weights(_counts(dataset), loss.background))
        self._mean = MeanTeacher(model.seg_net, self._procedure.teacher_decay)
        self._labeller = TwoNetModel(model.reg_net, copy.deepcopy(model.seg_net), model.input_spec.intensity)
        self._teacher = model if self._procedure.teacher_update == "step" else self._labeller
        self._pseudo: dict[str, Tensor] = {}
        self._rounds = self._procedure.rounds if dataset.unlabelled else 0

    def phase(self, index: int) -> Phase | None:
        p = self._procedure
        until = ends(p.shares if self._rounds else p.shares[:2])
        if index < 2:
            return self._registration_alone(until[0]) if index == 0 else self._segmentation_alone(until[1])
        number, part = divmod(index - 2, 1 + 2 * p.turns)
        if number >= self._rounds:
            return None
        end = until[1] + (1.0 - until[1]) * (number + 1) / self._rounds
        phase = self._labelling() if part == 0 else self._reg(number) if part % 2 else self._seg(number)
        return dataclasses.replace(phase, stage=f"round {number + 1}", until=end)

    @property
    def total_steps(self) -> int:
        p = self._procedure
        return p.reg_steps + p.seg_steps + self._rounds * p.turns * (p.reg_units + p.seg_units) * p.unit

    def state_dict(self) -> dict[str, Any]:
        labeller = self._labeller.seg_net.state_dict()
        return {"updates": self._mean.updates, "labeller": labeller, "labelled": bool(self._pseudo)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._mean.updates = state["updates"]
        self._labeller.seg_net.load_state_dict(state["labeller"])
        if state["labelled"]:
            self._label()

    def register_first(self, batch: Batch) -> Losses:
        """A step of registration alone, whose field begins smoother."""
        view = RegistrationView(self._model, self._prepared(batch, self._procedure.reg_moves), self._classes)
        return weighted_sum(self._first_registration, view, batch.step)

    def register(self, batch: Batch) -> Losses:
        """A step of registration on manual and pseudo-labels."""
        view = RegistrationView(self._model, self._prepared(batch, self._procedure.reg_moves), self._classes)
        return weighted_sum(self._registration, view, batch.step)

    def supervise(self, batch: Batch) -> Losses:
        """A step of segmentation on labelled scans alone, without dropout."""
        view = LabelledView(self._model, self._prepared(batch, self._procedure.seg_moves), self._classes)
        with _without_dropout(self._model):
            return weighted_sum(self._supervision, view, batch.step)

    def study(self, batch: Batch) -> Losses:
        """A step of the student on labelled and other scans; which of both moves is drawn."""
        other_moves = [bool(torch.rand(1, generator=random) < 0.5) for random in batch.random]
        ready = self._prepared(batch, self._procedure.seg_moves)
        view = StudentView(self._model, self._teacher, ready, self._classes, self._noise.warp, other_moves)
        return weighted_sum(self._student, view, batch.step)

    def _registration_alone(self, until: float) -> Phase:
        p, d = self._procedure, self._dataset
        pairs = AllOrderedPairs([*d.labelled, *d.unlabelled], self._seed)
        rate = self._reg_rate()
        return Phase("first reg", p.reg_steps, ("reg",), pairs, self.register_first, rate, p.batch, until=until)

    def _segmentation_alone(self, until: float) -> Phase:
        p, images = self._procedure, Images(self._dataset.labelled, self._seed)
        alone = Phase("first seg", p.seg_steps, ("seg",), images, self.supervise, self._seg_rate(), p.batch)
        return dataclasses.replace(alone, until=until, after_step=self._follow)

    def _labelling(self) -> Phase:
        return Phase("label", 0, on_enter=self._begin_round)

    def _reg(self, number: int) -> Phase:
        p = self._procedure
        pairs = LabelledOrAccepted(self._dataset.labelled, self._others(), self._seed + number)
        return Phase("reg", p.reg_units * p.unit, ("reg",), pairs, self.register, self._reg_rate(), p.batch)

    def _seg(self, number: int) -> Phase:
        p = self._procedure
        scans = TwoStream(self._dataset.labelled, self._others(), self._seed + number)
        steps, items = p.seg_units * p.unit, max(p.batch // 2, 1)
        rate = self._seg_rate(p.student_lr)
        return Phase("seg", steps, ("seg",), scans, self.study, rate, items, after_step=self._follow)

    def _others(self) -> list[str]:
        """The unlabelled scans that take part: those that were accepted; all while none was."""
        accepted = [name for name, labels in self._pseudo.items() if is_accepted(labels)]
        return accepted or list(self._dataset.unlabelled)

    def _begin_round(self) -> None:
        """The mean of the student takes over from the last round's teacher, and labels the unlabelled scans."""
        self._labeller.seg_net.load_state_dict(self._model.seg_net.state_dict())
        self._label()

    def _follow(self) -> None:
        assert self._model.student is not None
        self._mean.follow(self._model.student)

    @torch.no_grad()
    def _label(self) -> None:
        tau = self._procedure.tau if self._procedure.screening else None
        device = next(self._model.parameters()).device
        for name in self._dataset.unlabelled:
            probabilities = self._labeller.segment(self._dataset[name].image.to(device)).softmax(1)
            self._pseudo[name] = pseudo_labels(probabilities, tau)

    def _prepared(self, batch: Batch, strength: float) -> Batch:
        """The batch with pseudo-labels, every other item moved by a random affine map."""
        items = zip(batch.items, batch.random, strict=True)
        return dataclasses.replace(batch, items=tuple(self._item(item, strength, random) for item, random in items))

    def _item(self, item: tuple[Sample, ...], strength: float, random: torch.Generator) -> tuple[Sample, ...]:
        labelled = tuple(Sample(scan.id, scan.image, self._labels_of(scan)) for scan in item)
        if torch.rand(1, generator=random) < 0.5:
            return labelled
        movement = random_affine(shape_of(item[0].image), strength, random)
        return tuple(move(scan, movement) for scan in labelled)

    def _labels_of(self, scan: Sample) -> Tensor:
        """Manual labels, or pseudo-labels, or nothing but ignored voxels."""
        if scan.label is not None:
            return scan.label
        pseudo = self._pseudo.get(scan.id)
        if pseudo is None:
            return torch.full_like(scan.image, IGNORED, dtype=torch.int64)
        return pseudo.long()

    def _reg_rate(self) -> Adam:
        p = self._procedure
        return Adam(decayed(p.reg_lr, p.lr_decay, p.unit))

    def _seg_rate(self, first: float | None = None) -> Adam:
        p = self._procedure
        return Adam(decayed(first or p.seg_lr, p.lr_decay, p.unit), p.seg_weight_decay)


def _counts(dataset: Dataset) -> Tensor:
    """Voxels of each class (K,) in the labelled scans."""
    labels = [dataset[name].label for name in dataset.labelled]
    classes = dataset.structures.classes
    return torch.stack([torch.bincount(x.flatten(), minlength=classes) for x in labels if x is not None]).sum(0)


@contextmanager
def _without_dropout(network: nn.Module) -> Iterator[None]:
    """Dropout is the student's noise; a network that learns alone has none."""
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout3d)]
    modes = [layer.training for layer in layers]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.train(mode)
