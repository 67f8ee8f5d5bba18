"""One picture of a run: labels on the target, how well the atlas fits, and what the deformation did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..job import Result
from . import panels
from .panels import AFTER, BACKGROUND, BEFORE, FAINT, INK
from .planes import Scene, load_scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEGEND_ROWS, LEGEND_COLUMNS = 4, 6
PANELS = ("Labels on the target", "Atlas, registered", "Before", "After", "Deformed grid", "Local size")
NOTES = (
    "propagated structures",
    "warped to the target",
    "target and atlas as placed",
    "target and registered atlas",
    "beyond the affine",
    "log of the Jacobian",
)


def overview(run: Result, atlas: Path, target: Path, picture: Path) -> None:
    """Draw the picture and write it as a PNG.

    Args:
        run: the finished run.
        atlas, target: the scans that it registered.
        picture: the file to write.

    Raises:
        ModuleNotFoundError: matplotlib is not installed (the extra `report`).
        JobError: a file is missing or unreadable.
    """
    figure = _draw(run, load_scene(run, target, atlas))
    figure.savefig(picture, facecolor=BACKGROUND)


def _draw(run: Result, scene: Scene) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as problem:
        raise ModuleNotFoundError(
            "The picture needs matplotlib: pip install 'jointregseg[report]'", name=problem.name
        ) from problem
    figure = Figure(figsize=(15.2, 9.2), dpi=110, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    planes = scene.planes()
    extents = [plane.extent(scene.grid) for plane in planes]
    axes = figure.subplots(
        3,
        len(PANELS),
        gridspec_kw={"left": 0.025, "right": 0.94, "top": 0.875, "bottom": 0.09, "wspace": 0.03, "hspace": 0.03},
        height_ratios=[height / width for width, height in extents],
    )
    limit = panels.jacobian_limit(scene)
    for row, plane in zip(axes, planes, strict=True):
        panels.labels(row[0], scene, plane, scene.labels)
        row[1].imshow(plane.cut(scene.atlas_after), cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
        if scene.atlas_before is not None:
            panels.checkers(row[2], scene, plane, scene.atlas_before, BEFORE)
        panels.checkers(row[3], scene, plane, scene.atlas_after, AFTER)
        panels.grid_lines(row[4], scene, plane)
        colored = panels.local_size(row[5], scene, plane, limit)
        for column, axis in enumerate(row):
            panels.frame(axis, plane.letters if column == 0 else ("", "", "", ""))
        row[0].set_ylabel(plane.name, color=FAINT, fontsize=11)
    for axis, title, note in zip(axes[0], PANELS, NOTES, strict=True):
        axis.set_title(f"{title}\n", color=INK, fontsize=12.5, fontweight="bold", pad=4)
        axis.annotate(
            note, (0.5, 1.0), (0, 5), xycoords="axes fraction", textcoords="offset points",
            ha="center", color=FAINT, fontsize=9.5,
        )  # fmt: skip
    panels.color_bar(figure, colored, limit, (0.957, 0.30, 0.008, 0.40))
    _legend(figure, scene)
    figure.text(0.025, 0.965, "JointRegSeg", color=INK, fontsize=18, fontweight="bold", va="center")
    figure.text(0.15, 0.963, _headline(run), color=FAINT, fontsize=11.5, va="center")
    return figure


def _legend(figure: Figure, scene: Scene) -> None:
    from matplotlib.patches import Patch

    present = set(np.unique(scene.labels).tolist()) - {0}
    shown = [label for value, label in scene.table.items() if value in present]
    room = LEGEND_ROWS * LEGEND_COLUMNS
    patches = [Patch(color=panels.rgb(label.color), label=label.name) for label in shown[:room]]
    if len(shown) > room:
        patches[-1] = Patch(color=BACKGROUND, label=f"and {len(shown) - room + 1} more")
    if patches:
        figure.legend(
            handles=patches, loc="lower center", ncols=min(LEGEND_COLUMNS + 1, len(patches)), frameon=False,
            labelcolor=INK, fontsize=10, bbox_to_anchor=(0.485, 0.01), columnspacing=2.0, handlelength=1.0,
        )  # fmt: skip


def _headline(run: Result) -> str:
    return "    ".join(f"{m.name} {m.value:.3g} {m.unit}".strip() for m in run.quality.measures[:5])
