"""Pictures of each structure's Dice."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from JointRegSegLib.extras import load_extra
from JointRegSegLib.job import JobError

from .structures_tables import Scores, picture

_DPI = 80
_ROW_INCHES = 0.3


def draw_all(folder: Path, parts: dict[str, Scores]) -> list[Path]:
    """Draw each part's picture into a folder; returns the files.

    Where matplotlib is not installed there are none, and older ones go: pages would show them beside newer figures.
    """
    files = {folder / picture(name): scores for name, scores in parts.items()}
    try:
        for file, scores in files.items():
            draw(file, scores)
    except JobError as problem:
        print(f"No pictures: {problem}", file=sys.stderr)
        for file in files:
            file.unlink(missing_ok=True)
        return []
    return list(files)


def draw(file: Path, scores: Scores) -> None:
    """Draw a point for each target and a line at their median, a row for each structure, methods below one another.

    The picture is the same for the same figures and the same matplotlib. `JobError` EXTRA_MISSING where that is not
    installed.
    """
    canvas = load_extra("matplotlib.backends.backend_agg", "report", "A picture of the structures")
    names = list(dict.fromkeys(name for each in scores.values() for name in each))
    height = max(_ROW_INCHES, 0.09 * len(scores))
    figure = load_extra("matplotlib.figure", "report", "A picture of the structures").Figure(
        figsize=(8.0, 1.2 + height * len(names)), dpi=_DPI, layout="constrained"
    )
    axes = figure.subplots()
    step = 0.8 / len(scores)
    for order, (method, each) in enumerate(scores.items()):
        colour, shift = f"C{order}", (order + 0.5) * step - 0.4
        placed = [(value, names.index(name) + shift) for name, values in each.items() for value in values]
        axes.plot(*zip(*placed, strict=True), ".", color=colour, alpha=0.5, markersize=4, label=method)
        middles = [median(values) for values in each.values()]
        rows = [names.index(name) + shift for name in each]
        axes.vlines(middles, [y - step / 2 for y in rows], [y + step / 2 for y in rows], color=colour, linewidth=2)
    axes.set(xlim=(-0.01, 1.01), ylim=(len(names) - 0.5, -0.5), xlabel="Dice")
    axes.set_yticks(range(len(names)), names)
    for edge in range(1, len(names), 2):
        axes.axhspan(edge - 0.5, edge + 0.5, color="0.95", zorder=0)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=min(4, len(scores)), fontsize="small", frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas.FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
