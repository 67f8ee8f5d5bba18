"""The line that says how much memory the next run will take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from ..job import JobError
from ..service.forecast import Ask, Forecast, forecast
from .background import Background
from .inputs import Inputs
from .setup_section import chosen_python


class MemoryLine:
    """Asks for a forecast when the inputs have changed, in the background.

    Args:
        label: shows the forecast.
    """

    def __init__(self, label: Any) -> None:
        self._label = label
        self._background = Background()
        self._asked: tuple[Ask, bool] | None = None

    def close(self) -> None:
        """Hear nothing any more."""
        self._background.close()

    def update(self, runs: Sequence[Inputs]) -> None:
        """Show the memory of these runs; nothing where there are none that could begin."""
        asked = (_ask_for(runs), any(len(inputs.atlases) > 1 for inputs in runs)) if runs else None
        if asked == self._asked:
            return
        self._asked = asked
        self._label.text = ""
        self._label.visible = False
        if asked is not None:
            what, python = asked[0], chosen_python()
            self._background.start(lambda: forecast(what, python), self._show)

    def _show(self, found: Forecast | None, error: JobError | None) -> None:
        if found is not None and self._asked is not None:
            self._label.text = describe(found, several=self._asked[1])
            self._label.visible = True


def describe(found: Forecast, several: bool) -> str:
    """A forecast in words; of several atlases each takes as much, and so many run side by side as fit."""
    words = (
        _("Each atlas takes at most {needed:.1f} GB of memory")
        if several
        else _("The run takes at most {needed:.1f} GB of memory")
    )
    needed = words.format(needed=found.needed_gb)
    if found.free_gb is None:
        return f"{needed}."
    if found.free_gb < found.needed_gb:
        return _("{needed}; only {free:.1f} GB are free, so it will work on coarser voxels and say so.").format(
            needed=needed, free=found.free_gb
        )
    return _("{needed}; {free:.1f} GB are free.").format(needed=needed, free=found.free_gb)


def _ask_for(runs: Sequence[Inputs]) -> Ask:
    first = runs[0]
    atlases = [_voxels(atlas.image) for atlas in first.atlases]
    return Ask(
        target_voxels=max(_voxels(inputs.target) for inputs in runs),
        atlas_voxels=max(atlases),
        quality=first.quality,
        similarity=first.similarity,
        masked=any(atlas.mask is not None for atlas in first.atlases) or first.target_mask is not None,
    )


def _voxels(scan: Any) -> int:
    if isinstance(scan, Path):
        return 0  # its size is known to the worker alone
    return int(scan.GetImageData().GetNumberOfPoints())
