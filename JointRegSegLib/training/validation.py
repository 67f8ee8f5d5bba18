"""How good a model is on the validation subjects, in Dice."""

from __future__ import annotations

import numpy as np
import torch

from JointRegSegLib.fields import warp
from JointRegSegLib.metrics import dice
from JointRegSegLib.networks.joint import JointModel

from .dataset import Dataset, Sample


@torch.no_grad()
def validation_scores(model: JointModel, dataset: Dataset, device: torch.device) -> dict[str, float]:
    """Mean Dice over structures and subjects: "segmentation" and "registration", as far as the model does them.

    Registration carries every labelled subject's labels (nearest neighbour) onto every validation subject; without
    labelled subjects the validation subjects go onto one another. The model should be in eval mode.
    """
    subjects = [dataset[name].to(device) for name in dataset.validation]
    atlases = [dataset[name].to(device) for name in dataset.labelled] or subjects
    scores: dict[str, float] = {}
    if "segmentation" in model.capabilities:
        guesses = [(model.segment(subject.image).argmax(1, keepdim=True), subject) for subject in subjects]
        scores["segmentation"] = _mean([_dice(labels, subject) for labels, subject in guesses])
    if "field" in model.capabilities:
        pairs = [(atlas, subject) for subject in subjects for atlas in atlases if atlas.id != subject.id]
        scores["registration"] = _mean([_dice(_carried(model, *pair), pair[1]) for pair in pairs])
    return scores


def _carried(model: JointModel, atlas: Sample, subject: Sample) -> torch.Tensor:
    assert atlas.label is not None
    field = model.register(atlas.image, subject.image).float()
    return warp(atlas.label.float(), field, mode="nearest").long()


def _dice(labels: torch.Tensor, subject: Sample) -> float:
    assert subject.label is not None
    return _mean(list(dice(labels.cpu().numpy(), subject.label.cpu().numpy()).values()))


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
