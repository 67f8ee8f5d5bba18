"""One picture of a run: labels on the target, how well the atlas fits, and what the deformation did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..job import Result
from .planes import Plane, Scene, load_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BACKGROUND, INK, FAINT, BEFORE, AFTER = "#14171c", "#f2f2f2", "#9aa3ad", "#ff9f43", "#43d9a3"
CHECKERS = 8
GRID_LINE_MM = 6.0
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
    figure = _draw(run, load_scene(run, atlas, target))
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
    heights = [_height(scene, plane) for plane in planes]
    axes = figure.subplots(
        3,
        len(PANELS),
        gridspec_kw={"left": 0.025, "right": 0.94, "top": 0.875, "bottom": 0.09, "wspace": 0.03, "hspace": 0.03},
        height_ratios=heights,
    )
    limit = _jacobian_limit(scene)
    for row, plane in zip(axes, planes, strict=True):
        _labels(row[0], scene, plane)
        row[1].imshow(plane.cut(scene.atlas_after), cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
        _checkers(row[2], scene, plane, scene.atlas_before, BEFORE)
        _checkers(row[3], scene, plane, scene.atlas_after, AFTER)
        _grid_lines(row[4], scene, plane)
        colored = _local_size(row[5], scene, plane, limit)
        for column, axis in enumerate(row):
            _frame(axis, plane.letters if column == 0 else ("", "", "", ""))
        row[0].set_ylabel(plane.name, color=FAINT, fontsize=11)
    for axis, title, note in zip(axes[0], PANELS, NOTES, strict=True):
        axis.set_title(f"{title}\n", color=INK, fontsize=12.5, fontweight="bold", pad=4)
        axis.annotate(
            note, (0.5, 1.0), (0, 5), xycoords="axes fraction", textcoords="offset points",
            ha="center", color=FAINT, fontsize=9.5,
        )  # fmt: skip
    _color_bar(figure, colored, limit)
    _legend(figure, scene)
    figure.text(0.025, 0.965, "JointRegSeg", color=INK, fontsize=18, fontweight="bold", va="center")
    figure.text(0.15, 0.963, _headline(run), color=FAINT, fontsize=11.5, va="center")
    return figure


def _height(scene: Scene, plane: Plane) -> float:
    """Height over width of a plane in mm, which is how much of the page its row takes."""
    rows, columns = plane.cut(scene.target).shape
    return rows * plane.aspect(scene.grid) / columns


def _frame(axis: Axes, letters: tuple[str, str, str, str]) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
    places = (
        (0.02, 0.5, "left", "center"),
        (0.98, 0.5, "right", "center"),
        (0.5, 0.98, "center", "top"),
        (0.5, 0.02, "center", "bottom"),
    )
    for letter, (x, y, horizontal, vertical) in zip(letters, places, strict=True):
        axis.text(x, y, letter, color=FAINT, fontsize=9, ha=horizontal, va=vertical, transform=axis.transAxes)


def _labels(axis: Axes, scene: Scene, plane: Plane) -> None:
    labels = plane.cut(scene.labels)
    paint = np.zeros((*labels.shape, 4))
    axis.imshow(plane.cut(scene.target), cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
    for value in np.unique(labels[labels > 0]):
        color = _rgb(scene.table[int(value)].color)
        paint[labels == value] = (*color, 0.28)
        axis.contour(labels == value, levels=[0.5], colors=[color], linewidths=1.1)
    axis.imshow(paint, aspect=plane.aspect(scene.grid), interpolation="nearest")


def _rgb(color: tuple[int, int, int]) -> tuple[float, float, float]:
    return color[0] / 255.0, color[1] / 255.0, color[2] / 255.0


def _checkers(axis: Axes, scene: Scene, plane: Plane, atlas: NDArray[Any], color: str) -> None:
    ours, theirs = plane.cut(scene.target), plane.cut(atlas)
    rows, columns = np.indices(ours.shape)
    across, down = plane.components()
    square = max(n * s for n, s in zip(scene.grid.size, scene.grid.spacing, strict=True)) / CHECKERS
    odd = (rows * scene.grid.spacing[down] // square + columns * scene.grid.spacing[across] // square) % 2 == 1
    gray = np.where(odd, theirs, ours)
    tint = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255.0
    shown = np.where(odd[..., None], gray[..., None] * (0.55 + 0.45 * tint), gray[..., None])
    axis.imshow(shown, aspect=plane.aspect(scene.grid))


def _grid_lines(axis: Axes, scene: Scene, plane: Plane) -> None:
    axis.imshow(plane.cut(scene.target) * 0.65, cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
    for component in plane.components():
        position = plane.cut(scene.positions[component])
        levels = np.arange(np.floor(position.min() / GRID_LINE_MM), position.max() / GRID_LINE_MM) * GRID_LINE_MM
        axis.contour(position, levels=levels, colors=["#6ec6ff"], linewidths=0.65, alpha=0.9)


def _jacobian_limit(scene: Scene) -> float:
    inside = scene.jacobian[(scene.target > 0.05) & (scene.jacobian > 0)]
    return max(0.2, float(np.percentile(np.abs(np.log(inside)), 98.0))) if inside.size else 0.2


def _local_size(axis: Axes, scene: Scene, plane: Plane, limit: float) -> Any:
    jacobian = plane.cut(scene.jacobian)
    folded = np.ma.masked_where(jacobian > 0, np.ones_like(jacobian))
    log = np.log(np.maximum(jacobian, 1e-6))
    axis.set_facecolor(BACKGROUND)
    body = ndimage.binary_fill_holes(ndimage.gaussian_filter(plane.cut(scene.target), 1.0) > 0.08)
    faded = np.where(body, 1.0, 0.2)
    shown = axis.imshow(log, cmap="RdBu_r", vmin=-limit, vmax=limit, alpha=faded, aspect=plane.aspect(scene.grid))
    axis.contour(plane.cut(scene.labels) > 0, levels=[0.5], colors=["#202020"], linewidths=0.8)
    axis.imshow(folded, cmap="summer", vmin=0, vmax=1, aspect=plane.aspect(scene.grid), interpolation="nearest")
    return shown


def _color_bar(figure: Figure, colored: Any, limit: float) -> None:
    place = figure.add_axes((0.957, 0.30, 0.008, 0.40))
    bar = figure.colorbar(colored, cax=place)
    bar.set_ticks([-limit, 0.0, limit], labels=[f"x {np.exp(-limit):.2g}", "same", f"x {np.exp(limit):.2g}"])
    bar.ax.tick_params(colors=FAINT, labelsize=8.5, length=0)
    bar.outline.set_visible(False)
    place.set_title("atlas\nlarger", color=FAINT, fontsize=8.5)
    place.set_xlabel("atlas\nsmaller", color=FAINT, fontsize=8.5)


def _legend(figure: Figure, scene: Scene) -> None:
    from matplotlib.patches import Patch

    present = set(np.unique(scene.labels).tolist()) - {0}
    shown = [label for value, label in scene.table.items() if value in present]
    room = LEGEND_ROWS * LEGEND_COLUMNS
    patches = [Patch(color=_rgb(label.color), label=label.name) for label in shown[:room]]
    if len(shown) > room:
        patches[-1] = Patch(color=BACKGROUND, label=f"and {len(shown) - room + 1} more")
    if patches:
        figure.legend(
            handles=patches, loc="lower center", ncols=min(LEGEND_COLUMNS + 1, len(patches)), frameon=False,
            labelcolor=INK, fontsize=10, bbox_to_anchor=(0.485, 0.01), columnspacing=2.0, handlelength=1.0,
        )  # fmt: skip


def _headline(run: Result) -> str:
    return "    ".join(f"{m.name} {m.value:.3g} {m.unit}".strip() for m in run.quality.measures[:5])
