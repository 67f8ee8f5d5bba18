"""The line that says how much memory the next run will take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..job import Device, JobError
from ..methods import REGISTERING
from ..service.client import TorchDevice, TorchState
from ..service.forecast import Ask, Forecast, forecast
from ..volumes import read_grid
from .background import Background
from .inputs import Inputs
from .setup_section import chosen_python


@dataclass(frozen=True)
class _Question:
    """What is asked, and what the answer's words depend on.

    Attributes:
        ask: of the atlases in the scene alone.
        files: the atlases on disk, whose size is read in the background.
        several: whether there is more than one atlas.
        card: the graphics card that computes, or None.
        is_measured: whether a processor computes, whose memory was measured.
    """

    ask: Ask
    files: tuple[Path, ...]
    several: bool
    card: TorchDevice | None
    is_measured: bool

    def answer(self, python: str | None) -> _Answer:
        """Blocks for seconds; `JobError` as of `forecast`."""
        largest, unknown = self.ask.atlas_voxels, 0
        for file in self.files:
            try:
                largest = max(largest, math.prod(read_grid(file).size))
            except JobError:  # a DICOM folder, or what the run will refuse
                unknown += 1
        return _Answer(forecast(replace(self.ask, atlas_voxels=largest), python), unknown)


@dataclass(frozen=True)
class _Answer:
    """A forecast, and of how many atlases on disk the size is unknown, so that it does not count them."""

    forecast: Forecast
    unknown: int


class MemoryLine:
    """Asks for a forecast when the inputs have changed, in the background.

    Args:
        label: shows the forecast.
    """

    def __init__(self, label: Any) -> None:
        self._label = label
        self._background = Background()
        self._asked: _Question | None = None

    def close(self) -> None:
        """Hear nothing any more."""
        self._background.close()

    def update(self, runs: Sequence[Inputs], torch: TorchState | None) -> None:
        """Show the memory of these runs; nothing where there are none that could begin, or PyTorch is not known."""
        asked = _question(runs, torch) if runs and torch is not None else None
        if asked == self._asked:
            return
        self._asked = asked
        self._label.text = ""
        self._label.visible = False
        if asked is not None:
            python = chosen_python()
            self._background.start(lambda: asked.answer(python), self._show)

    def _show(self, found: _Answer | None, error: JobError | None) -> None:
        if found is not None and self._asked is not None:
            self._label.text = _describe(found, self._asked)
            self._label.visible = True


def _describe(answer: _Answer, asked: _Question) -> str:
    """A forecast in words; of several atlases each takes as much, and so many run side by side as fit."""
    found = answer.forecast
    needed = (_("at most {gb:.1f} GB") if asked.is_measured else _("about {gb:.1f} GB")).format(gb=found.needed_gb)
    words = (
        _("Each atlas takes {needed} of memory, their fusion not counted")
        if asked.several
        else _("The run takes {needed} of memory")
    )
    lines = [_with_free(words.format(needed=needed), found.needed_gb, found.free_gb)]
    if found.gpu_gb is not None and asked.card is not None:
        words = _("On the graphics card it takes about {needed:.1f} GB").format(needed=found.gpu_gb)
        lines.append(_with_free(words, found.gpu_gb, asked.card.free_gb))
    if asked.ask.model_voxels:
        lines.append(_("What the model's network computes with is not counted."))
    if answer.unknown:
        words = _("Atlases on disk whose size only a run finds out are not counted: {count}.")
        lines.append(words.format(count=answer.unknown))
    return " ".join(lines)


def _with_free(words: str, needed: float, free: float | None) -> str:
    if free is None:
        return f"{words}."
    if free < needed:
        return _("{needed}; only {free:.1f} GB are free, so it may work on coarser voxels and then says so.").format(
            needed=words, free=free
        )
    return _("{needed}; {free:.1f} GB are free.").format(needed=words, free=free)


def _question(runs: Sequence[Inputs], torch: TorchState) -> _Question:
    first = runs[0]
    scans = [atlas.image for atlas in first.atlases]
    nodes = [scan for scan in scans if not isinstance(scan, Path)]
    largest = max((inputs.target for inputs in runs), key=_voxels)
    i, j, k = largest.GetImageData().GetDimensions()
    ask = Ask((i, j, k), max(map(_voxels, nodes), default=0), first.quality)
    card = next((each for each in torch.devices if each.kind == Device.CUDA.value), None)
    if first.device not in (Device.AUTO, Device.CUDA):
        card = None
    model = first.model.card if first.model is not None else None
    if model is not None:
        classes = 0 if model.method in REGISTERING else model.classes
        ask = replace(ask, model_voxels=math.prod(model.size), model_classes=classes)
    files = tuple(scan for scan in scans if isinstance(scan, Path))
    is_measured = card is None and first.device is not Device.MPS
    return _Question(replace(ask, on_gpu=card is not None), files, len(scans) > 1, card, is_measured)


def _voxels(node: Any) -> int:
    return int(node.GetImageData().GetNumberOfPoints())
