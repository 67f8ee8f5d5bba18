"""How losses and scores went: a file of JSON lines while training, a picture and TensorBoard's logs of it later."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..extras import load_extra
from ..job.filesystem import replace_file

Series = dict[str, tuple[list[int], list[float]]]
"""Name of a curve -> its steps and values."""


class CurveFile:
    """A file that grows by one line a step: {"step", "phase", "total", "parts", "lr"} or {"step", "validation"}."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def cut(self, step: int) -> None:
        """Forget what was written after this step, and a line that a killed process left unfinished."""
        lines = [json.dumps(line) for line in read_curves(self._path) if line["step"] <= step]
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        replace_file(partial, self._path)

    def add(self, line: dict[str, Any]) -> None:
        """Append one line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_curves(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a curve file; none where there is no file."""
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(text)
        except ValueError:
            return


def series_of(path: Path) -> Series:
    """The curves in a file: "phase/part" for losses, "validation/name" for scores."""
    found: Series = defaultdict(lambda: ([], []))
    for line in read_curves(path):
        losses = {f"{line['phase']}/{name}": value for name, value in line.get("parts", {}).items()}
        scores = {f"validation/{name}": value for name, value in line.get("validation", {}).items()}
        for name, value in (losses | scores).items():
            found[name][0].append(line["step"])
            found[name][1].append(value)
    return dict(found)


def draw(path: Path, picture: Path) -> None:
    """Draw a curve file as a picture, losses above and scores below; `JobError` EXTRA_MISSING without matplotlib."""
    series = series_of(path)
    figure = load_extra("matplotlib.figure", "report", "The picture").Figure(figsize=(8, 8), layout="constrained")
    for axes, scores, title in zip(
        figure.subplots(2, sharex=True), (False, True), ("losses", "validation"), strict=True
    ):
        for name, (steps, values) in series.items():
            if name.startswith("validation/") is scores:
                axes.plot(steps, values, label=name.removeprefix("validation/"), linewidth=1)
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    figure.savefig(picture, dpi=120)


def write_tensorboard(path: Path, folder: Path) -> None:
    """Write a curve file as TensorBoard's logs; `JobError` EXTRA_MISSING without tensorboard."""
    load_extra("tensorboard.summary.writer.event_file_writer", "train", "The log for TensorBoard")
    from torch.utils.tensorboard import SummaryWriter  # which stands on it

    with SummaryWriter(str(folder)) as writer:
        for name, (steps, values) in series_of(path).items():
            for step, value in zip(steps, values, strict=True):
                writer.add_scalar(name, value, step)
