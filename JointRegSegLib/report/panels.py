"""What one plane of a result can show, drawn into axes of matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .planes import Plane, Scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BACKGROUND, INK, FAINT, BEFORE, AFTER = "#14171c", "#f2f2f2", "#9aa3ad", "#ff9f43", "#43d9a3"
CHECKERS = 8
GRID_LINE_MM = 6.0

Place = tuple[float, float, float, float]


def frame(axis: Axes, letters: tuple[str, str, str, str]) -> None:
    """Take ticks and border away; letters say what lies left, right, top and bottom."""
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


def labels(axis: Axes, scene: Scene, plane: Plane, array: NDArray[Any], fill: float = 0.28) -> None:
    """Outlines of label values (k, j, i) on the target, each structure in its colour and filled with a share of it."""
    cut = plane.cut(array)
    paint = np.zeros((*cut.shape, 4))
    axis.imshow(plane.cut(scene.target), cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
    boxes: list[Any] = ndimage.find_objects(cut.astype(np.int32))
    for value, box in enumerate(boxes, 1):
        if box is None:
            continue
        color = rgb(scene.table[value].color)
        paint[cut == value] = (*color, fill)
        rows, columns = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        inside = cut[rows, columns] == value
        if min(inside.shape) > 1:
            y, x = (
                np.arange(side.start, side.start + n) for side, n in zip((rows, columns), inside.shape, strict=True)
            )
            axis.contour(x, y, inside, levels=[0.5], colors=[color], linewidths=1.1)
    axis.imshow(paint, aspect=plane.aspect(scene.grid), interpolation="nearest")


def rgb(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """A colour of 0 to 255 in matplotlib's words."""
    return color[0] / 255.0, color[1] / 255.0, color[2] / 255.0


def checkers(axis: Axes, scene: Scene, plane: Plane, atlas: NDArray[Any], color: str) -> None:
    """Squares of the target and of the atlas's intensities (k, j, i) in turn; the atlas's are tinted."""
    ours, theirs = plane.cut(scene.target), plane.cut(atlas)
    rows, columns = np.indices(ours.shape)
    across, down = plane.components()
    square = max(n * s for n, s in zip(scene.grid.size, scene.grid.spacing, strict=True)) / CHECKERS
    odd = (rows * scene.grid.spacing[down] // square + columns * scene.grid.spacing[across] // square) % 2 == 1
    gray = np.where(odd, theirs, ours)
    tint = np.array([int(color[start : start + 2], 16) for start in (1, 3, 5)]) / 255.0
    shown = np.where(odd[..., None], gray[..., None] * (0.55 + 0.45 * tint), gray[..., None])
    axis.imshow(shown, aspect=plane.aspect(scene.grid))


def grid_lines(axis: Axes, scene: Scene, plane: Plane) -> None:
    """Lines of a grid that was straight in the atlas, without the affine."""
    axis.imshow(plane.cut(scene.target) * 0.65, cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
    for component in plane.components():
        position = plane.cut(scene.positions[component])
        levels = np.arange(np.floor(position.min() / GRID_LINE_MM), position.max() / GRID_LINE_MM) * GRID_LINE_MM
        axis.contour(position, levels=levels, colors=["#6ec6ff"], linewidths=0.65, alpha=0.9)


def jacobian_limit(scene: Scene) -> float:
    """How far the colours of `local_size` reach, in units of the determinant's logarithm."""
    inside = scene.jacobian[(scene.target > 0.05) & (scene.jacobian > 0)]
    return max(0.2, float(np.percentile(np.abs(np.log(inside)), 98.0))) if inside.size else 0.2


def local_size(axis: Axes, scene: Scene, plane: Plane, limit: float) -> Any:
    """The determinant's logarithm in colours, folded voxels in green; returns the coloured image."""
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


def confidence(axis: Axes, scene: Scene, plane: Plane, array: NDArray[Any]) -> Any:
    """How sure the labels are (k, j, i), 0 to 1, in colours where anything is labelled; returns the coloured image."""
    axis.imshow(plane.cut(scene.target) * 0.65, cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
    shown = np.ma.masked_where(plane.cut(scene.labels) == 0, plane.cut(array))
    aspect = plane.aspect(scene.grid)
    return axis.imshow(shown, cmap="RdYlGn", vmin=0, vmax=1, aspect=aspect, interpolation="nearest", alpha=0.85)


def marked(axis: Axes, scene: Scene, plane: Plane, array: NDArray[Any]) -> None:
    """The target with the voxels in red that are not 0 in an array (k, j, i)."""
    axis.imshow(plane.cut(scene.target), cmap="gray", vmin=0, vmax=1, aspect=plane.aspect(scene.grid))
    shown = np.ma.masked_where(plane.cut(array) == 0, np.ones(plane.cut(array).shape))
    aspect = plane.aspect(scene.grid)
    axis.imshow(shown, cmap="autumn", vmin=1, vmax=2, aspect=aspect, interpolation="nearest", alpha=0.85)


def color_bar(figure: Figure, colored: Any, limit: float, place: Place) -> None:
    """The legend of `local_size`."""
    axes = figure.add_axes(place)
    bar = figure.colorbar(colored, cax=axes)
    bar.set_ticks([-limit, 0.0, limit], labels=[f"x {np.exp(-limit):.2g}", "same", f"x {np.exp(limit):.2g}"])
    bar.ax.tick_params(colors=FAINT, labelsize=8.5, length=0)
    bar.outline.set_visible(False)
    axes.set_title("atlas\nlarger", color=FAINT, fontsize=8.5)
    axes.set_xlabel("atlas\nsmaller", color=FAINT, fontsize=8.5)
