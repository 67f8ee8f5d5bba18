"""A trained model as one file: weights in safetensors' format, and the card in its header.

Where safetensors is missing, importing this is a `JobError` WORKER_NOT_STARTED, so that every door says it alike.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .. import __version__
from ..job import Code, JobError
from ..job.filesystem import replace_file
from .card import KEY, Card, Structure, load_card
from .dataset import Dataset
from .trainer import Outcome

try:
    from safetensors import SafetensorError
    from safetensors.torch import load, save
except ImportError as problem:
    raise JobError(
        Code.WORKER_NOT_STARTED,
        f"A library is missing in {sys.executable}: {problem}.",
        f"Install it: {sys.executable} -m pip install safetensors. The method optimisation does without.",
    ) from problem

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def describe(
    method: str,
    config: DataclassInstance,
    dataset: Dataset,
    outcome: Outcome,
    scores: Mapping[str, float],
    licence: str,
) -> Card:
    """The card of a model that was just trained by this version; of the subjects it tells their number alone."""
    classes = zip(dataset.structures.table.values(), dataset.structures.values, strict=True)
    return Card(
        method=method,
        config=json.loads(json.dumps(asdict(config))),
        structures=tuple(Structure(label.value, label.name, label.color, values) for label, values in classes),
        size=dataset.frame.size,
        spacing=dataset.frame.spacing,
        intensity=dataset.frame.intensity,
        training={
            "steps": outcome.steps,
            "minutes": outcome.seconds / 60.0,
            "labelled": len(dataset.labelled),
            "subjects": len(dataset.labelled) + len(dataset.unlabelled),
        },
        scores=dict(scores),
        licence=licence,
        software=__version__,
    )


def save_package(path: Path, state: Mapping[str, Tensor], card: Card) -> None:
    """Write weights and card, whole or not at all; `JobError` OUTPUT_UNWRITABLE."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    card = replace(card, digest=_digest(tensors))
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(save(tensors, {KEY: card.to_json()}))
        replace_file(partial, path)
    except OSError as problem:
        raise JobError(
            Code.OUTPUT_UNWRITABLE,
            f"The model package {path} cannot be written: {problem.strerror or problem}.",
            "Check its folder's permissions and the space on its disk.",
        ) from problem


def load_package(path: Path) -> tuple[dict[str, Tensor], Card]:
    """The weights, on the CPU, and the card; `JobError` MODEL_MISSING or MODEL_INVALID."""
    card = load_card(path)
    try:
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError) as problem:
        raise _damaged(path) from problem
    if _digest(tensors) != card.digest:
        raise _damaged(path)
    return tensors, card


def fit(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Give a model the weights of a package; `JobError` MODEL_UNFIT where names or shapes differ."""
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as problem:
        raise JobError(
            Code.MODEL_UNFIT,
            f"The weights in {path} do not fit this model.",
            "Choose the method and configuration that they were trained with.",
        ) from problem


def _digest(tensors: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def _damaged(path: Path) -> JobError:
    return JobError(Code.MODEL_INVALID, f"The model package {path} is damaged.", "Copy or download it again.")
