"""What the methods' tests share: made-up subjects, one harness for gradient reach, steps as the trainer makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from JointRegSegLib import methods
from JointRegSegLib.fields import identity, warp
from JointRegSegLib.networks import JointModel, placed, reached_groups
from JointRegSegLib.training.dataset import Dataset, Sample
from JointRegSegLib.training.few_shot import FewShotView
from JointRegSegLib.training.frame import Frame
from JointRegSegLib.training.phases import Batch, Phase, Strategy
from JointRegSegLib.training.structures import Structures
from JointRegSegLib.training.subjects import Split, Subject
from JointRegSegLib.training.terms import LossTerm
from JointRegSegLib.training.trainer import Trainer, TrainerConfig
from Testing.engine.tensor_cases import generator, smooth_field
from Testing.engine.training_cases import Scripted

SHAPE = (24, 32, 24)
CLASSES = 3

View = TypeVar("View")


def subject(number: int) -> Sample:
    """Two structures in a body, ellipsoids all, deformed by up to four voxels; noise and gain of its own."""
    places = identity(SHAPE, torch.zeros(()))[0]
    middle = (torch.tensor(SHAPE) - 1).view(3, 1, 1, 1) / 2

    def ellipsoid(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Tensor:
        offset = (places - middle - torch.tensor(centre).view(3, 1, 1, 1)) / torch.tensor(radii).view(3, 1, 1, 1)
        return (1.0 - offset.square().sum(0).sqrt()).mul(6.0).sigmoid()

    body, front, back = (
        ellipsoid((0, 0, 0), (10, 14, 10)),
        ellipsoid((0, -6, 0), (5, 5, 5)),
        ellipsoid((1, 6, 1), (4, 6, 5)),
    )
    image = 0.3 * body + 0.5 * front + 0.25 * back
    label = torch.where(front > 0.5, 1, torch.where(back > 0.5, 2, 0))
    field = smooth_field(SHAPE, 4.0, 5.0, seed=number, dtype=torch.float32)
    noise = 0.02 * torch.randn(1, 1, *SHAPE, generator=generator(50 + number))
    moved = warp(image[None, None], field) * (1.0 + 0.02 * number) + noise
    return Sample(f"s{number}", moved, warp(label[None, None].float(), field, "nearest").to(torch.int16))


def method_dataset(labelled: int = 1, subjects: int = 5) -> Dataset:
    """A data set that was never on a disk; the last subject validates."""
    samples = {f"s{number}": subject(number) for number in range(subjects)}
    everyone = [Subject(name, Path(name), Path(name)) for name in samples]
    everyone[-1] = dataclasses.replace(everyone[-1], split=Split.VALIDATE)
    view = FewShotView(everyone, labelled)
    hidden = {s.id: Sample(s.id, samples[s.id].image, None) for s in view.unlabelled}
    return Dataset({**samples, **hidden}, view, Structures.of([1, 2]), Frame(SHAPE[::-1], (1.0, 1.0, 1.0), "minmax"))


def settings_of(method: str, preset: str = "preset", **sections: Mapping[str, Any]) -> Any:
    """The settings in a preset with some values of its sections replaced."""
    settings: Any = methods.read_settings(method, methods.presets(method)[preset])
    return dataclasses.replace(
        settings,
        **{name: dataclasses.replace(getattr(settings, name), **values) for name, values in sections.items()},
    )


def made(method: str, settings: Any, dataset: Dataset) -> tuple[Any, Any]:
    """The model, its weights from a fixed seed, and its training procedure."""
    torch.manual_seed(7)
    model = placed(methods.build(method, settings, dataset.structures.classes), "cpu")
    return model, methods.strategy(method, settings, model, dataset)


def batch_of(*items: tuple[Sample, ...], step: int = 0) -> Batch:
    """A batch of these items, labels as the data set gives them."""
    ready = tuple(
        tuple(Sample(s.id, s.image, None if s.label is None else s.label.long()) for s in item) for item in items
    )
    return Batch(ready, step, tuple(generator(90 + i) for i in range(len(items))))


def check_reach(
    terms: Iterable[LossTerm[View]], view: View, model: JointModel, expected: Mapping[str, set[str]]
) -> None:
    """Each term's gradient reaches exactly the expected groups, although nothing is frozen, and no undeclared one."""
    found = {term.name: reached_groups(term.fn(view).mean(), model) for term in terms}
    assert found == expected
    assert all(found[term.name] <= term.groups for term in terms)


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether all parameters and buffers are equal to the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def run(strategy: Strategy, model: JointModel, dataset: Dataset, folder: Path, **options: Any) -> None:
    """Train as the command does."""
    Trainer(model, strategy, dataset, TrainerConfig(seed=3, checkpoint_seconds=0.0), folder, **options).run()


def check_trains_only(phase: Phase, model: Any, dataset: Dataset, folder: Path) -> None:
    """One step of a phase moves the networks of its groups and leaves all of the others as it was, to the bit."""
    before = weights(model)
    run(Scripted(dataclasses.replace(phase, steps=1)), model, dataset, folder)
    after = weights(model)
    moved = {
        "reg" if name.startswith("reg_net.") else "seg" for name in after if not torch.equal(before[name], after[name])
    }
    assert moved == set(phase.groups)
