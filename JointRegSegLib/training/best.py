"""The weights that validation liked best: of each task by itself where the tasks share none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from JointRegSegLib.networks.joint import JointModel

from .checkpoints import read_state, write_state

WHOLE = ""
"""The part that stands for a model whose tasks share weights."""


def best_file(part: str = WHOLE) -> str:
    """The name of the file that keeps a part's best weights."""
    return f"best-{part}.pt" if part else "best.pt"


class BestWeights:
    """Files with the best weights of each part of a model.

    Two networks that share nothing are judged and kept each by its own score, so that what joint training does to one
    costs nothing of the other; a model whose tasks share weights is judged by the mean of its scores.
    """

    def __init__(self, model: JointModel, folder: Path) -> None:
        self._model, self._folder = model, folder
        self._prefixes = model.parts() or {WHOLE: ""}

    def judge(self, scores: Mapping[str, float]) -> dict[str, float]:
        """The score of each part; a part of which nothing finite was measured is left out."""
        if WHOLE not in self._prefixes:
            return {part: scores[part] for part in self._prefixes if math.isfinite(scores.get(part, math.nan))}
        measured = [score for score in scores.values() if math.isfinite(score)]
        return {WHOLE: sum(measured) / len(measured)} if measured else {}

    def keep(self, part: str, step: int) -> None:
        """Write the present weights of a part; `JobError` OUTPUT_UNWRITABLE."""
        state = {name: t for name, t in self._model.state_dict().items() if name.startswith(self._prefixes[part])}
        write_state(self._folder / best_file(part), {"step": step, "model": state})

    def restore(self, parts: Mapping[str, float]) -> None:
        """Give the model the weights of these parts that were kept; `JobError` MODEL_INVALID for a damaged file."""
        for part in parts:
            kept = read_state(self._folder / best_file(part))
            if kept is not None:
                self._model.load_state_dict({**self._model.state_dict(), **kept["model"]})
