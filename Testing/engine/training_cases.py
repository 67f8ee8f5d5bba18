"""A toy model, data set and strategy, for the tests of the training room."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from JointRegSegLib.fields import warp
from JointRegSegLib.networks.joint import BOTH, Group, InputSpec, JointModel, JointOutput, Task
from JointRegSegLib.training.dataset import DataConfig, Dataset, Sample, load_dataset
from JointRegSegLib.training.few_shot import FewShotView
from JointRegSegLib.training.frame import Frame
from JointRegSegLib.training.phases import Adam, Batch, Phase, Strategy
from JointRegSegLib.training.samplers import AllOrderedPairs, AvailabilityBuckets, Images
from JointRegSegLib.training.schedules import decayed
from JointRegSegLib.training.structures import Structures
from JointRegSegLib.training.subjects import Split, Subject, read_subjects
from JointRegSegLib.training.terms import Losses, LossTerm, weighted_sum
from JointRegSegLib.volumes import Grid
from Testing.engine.tensor_cases import texture
from Testing.engine.volume_cases import save

SHAPE = (6, 7, 8)
CLASSES = 3


class ToyModel(JointModel):
    """A field and logits from two convolutions each."""

    capabilities = frozenset({"field", "segmentation"})
    input_spec = InputSpec(1)

    def __init__(self, norm: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(5)
        normed = [nn.BatchNorm3d(4)] if norm else []
        self.reg = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), *normed, nn.Tanh(), nn.Conv3d(4, 3, 3, padding=1))
        self.seg = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1),
            *copy.deepcopy(normed),
            nn.Tanh(),
            nn.Dropout3d(dropout),
            nn.Conv3d(4, CLASSES, 1),
        )

    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        return JointOutput(
            field=self.reg(torch.cat([moving, fixed], 1)) if "reg" in tasks else None,
            seg_moving=self.seg(moving) if "seg" in tasks else None,
            seg_fixed=self.seg(fixed) if "seg" in tasks else None,
        )

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        return {"reg": list(self.reg.parameters()), "seg": list(self.seg.parameters())}


def write_data(folder: Path, seed: int = 0, subjects: int = 6) -> Path:
    """Scans and label maps of a few subjects, in a folder as users have it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(subjects):
        image = texture(SHAPE, seed=100 * seed + number)[0, 0].numpy()
        save(folder / f"{number:02d}_mr.nii.gz", image.astype(np.float32), Grid(SHAPE[::-1]))
        labels = np.digitize(image, [0.45, 0.7]).astype(np.uint16) * 4
        save(folder / f"{number:02d}_labels.nii.gz", labels, Grid(SHAPE[::-1]))
    return folder


def loaded(folder: Path, labelled: int = 2) -> Dataset:
    """The data set in a folder."""
    return load_dataset(FewShotView(read_subjects(folder), labelled), DataConfig(labelled), "minmax")


def toy_dataset(subjects: int = 5, labelled: int = 2) -> Dataset:
    """A data set that was never on a disk; the last subject validates."""
    samples = {}
    for number in range(subjects):
        image = texture(SHAPE, seed=number, dtype=torch.float32)
        label = torch.bucketize(image, torch.tensor([0.45, 0.7])).to(torch.int16)
        samples[f"s{number}"] = Sample(f"s{number}", image, label)
    everyone = [Subject(name, Path(name), Path(name)) for name in samples]
    everyone[-1] = Subject(f"s{subjects - 1}", Path(), Path(), Split.VALIDATE)
    view = FewShotView(everyone, labelled)
    hidden = {s.id: Sample(s.id, samples[s.id].image, None) for s in view.unlabelled}
    return Dataset({**samples, **hidden}, view, Structures.of([1, 2]), Frame(SHAPE[::-1], (1.0, 1.0, 1.0), "minmax"))


def similarity(batch: Batch, model: ToyModel) -> Tensor:
    """Squared difference after warping, (B,)."""
    moving, fixed = batch.images(0), batch.images(1)
    return (warp(moving, model.register(moving, fixed)) - fixed).square().flatten(1).mean(1)


def entropy(batch: Batch, model: ToyModel) -> Tensor:
    """Cross entropy of the first column, (B,); zero without gradient where a label is missing."""
    labels = batch.labels(0)
    if labels is None:
        return torch.zeros(len(batch.items))
    return cross_entropy(model.segment(batch.images(0)), labels[:, 0], reduction="none").flatten(1).mean(1)


class Separate(Strategy):
    """Registration alone; the smallest strategy."""

    def __init__(self, model: ToyModel, dataset: Dataset, steps: int = 6, batch: int = 1) -> None:
        self._steps, self._batch, self._model = steps, batch, model
        self._pairs = AllOrderedPairs([*dataset.labelled, *dataset.unlabelled], seed=1)
        self._terms = [LossTerm("sim", lambda b: similarity(b, model), 1.0, frozenset({"reg"}))]

    def phase(self, index: int) -> Phase | None:
        if index:
            return None
        return Phase("reg", self._steps, ("reg",), self._pairs, self._step, Adam(1e-2), self._batch)

    @property
    def total_steps(self) -> int:
        return self._steps

    def _step(self, batch: Batch) -> Losses:
        return weighted_sum(self._terms, batch, batch.step)


class Alternating(Strategy):
    """All that the published strategies need at once: pre-training, alternation, a teacher that labels and follows."""

    PRETRAIN, TURNS, REG, SEG = 3, 4, 2, 1

    def __init__(self, model: ToyModel, dataset: Dataset) -> None:
        self._model, self._dataset = model, dataset
        self._teacher = copy.deepcopy(model.seg).requires_grad_(False).eval()
        self._pseudo: dict[str, Tensor] = {}
        self._pairs = AvailabilityBuckets(dataset.labelled, dataset.unlabelled, 1)
        self._images = Images(dataset.labelled, 2)

    @property
    def total_steps(self) -> int:
        return 2 * self.PRETRAIN + self.TURNS * (self.REG + self.SEG)

    def phase(self, index: int) -> Phase | None:
        rate = Adam(decayed(1e-2, 0.9, 2), 1e-4)
        if index == 0:
            return Phase("first reg", self.PRETRAIN, ("reg",), self._pairs, self._register, rate)
        if index == 1:
            return Phase("first seg", self.PRETRAIN, ("seg",), self._images, self._segment, rate)
        turn, part = divmod(index - 2, 3)
        if turn == self.TURNS:
            return None
        if part == 0:
            return Phase("label", 0, on_enter=self._label, stage="joint")
        if part == 1:
            return Phase("reg", self.REG, ("reg",), self._pairs, self._register, rate, stage="joint")
        images = Images([*self._dataset.labelled, *self._pseudo], 3 + turn)
        follow = self._follow
        return Phase(
            "seg", self.SEG, ("seg",), images, self._segment, rate, stage="joint", after_step=follow, on_exit=follow
        )

    def state_dict(self) -> dict[str, Any]:
        return {"teacher": self._teacher.state_dict(), "pseudo": self._pseudo}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._teacher.load_state_dict(state["teacher"])
        self._pseudo = state["pseudo"]

    def _register(self, batch: Batch) -> Losses:
        sim = LossTerm("sim", lambda b: similarity(b, self._model), lambda step: 2.0 / (step + 1), frozenset({"reg"}))
        return weighted_sum([sim], batch, batch.step)

    def _segment(self, batch: Batch) -> Losses:
        (sample,) = batch.items[0]
        labels = self._pseudo[sample.id] if sample.label is None else sample.label[:, 0]
        noise = 0.05 * torch.randn(sample.image.shape, generator=batch.random[0])
        loss = cross_entropy(self._model.segment(sample.image + noise), labels)
        return Losses(loss, {"ce": loss.detach()})

    def _label(self) -> None:
        names = self._dataset.unlabelled
        self._pseudo = {name: self._teacher(self._dataset[name].image).argmax(1) for name in names}

    @torch.no_grad()
    def _follow(self) -> None:
        for mine, theirs in zip(self._teacher.parameters(), self._model.seg.parameters(), strict=True):
            mine.lerp_(theirs, 0.3)


class Scripted(Strategy):
    """Given phases in turn."""

    def __init__(self, *phases: Phase) -> None:
        self._given = phases

    def phase(self, index: int) -> Phase | None:
        return self._given[index] if index < len(self._given) else None

    @property
    def total_steps(self) -> int:
        return sum(phase.steps for phase in self._given)


def losses_of(fn: Callable[[Batch], Tensor]) -> Callable[[Batch], Losses]:
    """A step function of one term called loss."""

    def step(batch: Batch) -> Losses:
        value = fn(batch).mean()
        return Losses(value, {"loss": value.detach()})

    return step
