"""The pictures of a report: each shows one thing in three planes, side by side at one scale."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..extras import load_extra
from . import panels
from .panels import AFTER, BACKGROUND, BEFORE, FAINT
from .planes import Plane, Scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES, DPI = 9.6, 100
THUMBNAIL_PIXELS = 160
_ROOM = 0.92
"""The share of the width that slices take; the rest is for the colour bar."""
_BAR: panels.Place = (0.94, 0.22, 0.012, 0.56)
_CONFIDENCE_TICKS = (0.0, 0.5, 1.0)

Draw = Callable[["Axes", Plane], Any]


@dataclass(frozen=True)
class Picture:
    """A picture with its title, what it shows in a sentence, and the bytes of its PNG."""

    title: str
    note: str
    png: bytes


def pictures(scene: Scene, target_known: bool) -> Iterator[Picture]:
    """Draw what the scene has.

    Args:
        scene: the result.
        target_known: whether `scene.target` is the target and not the warped atlas in its place.

    Raises:
        JobError: EXTRA_MISSING.
    """
    ground = "the target" if target_known else "the registered atlas"
    before = scene.labels_before
    if before is not None:
        note = f"The atlas's structures on {ground}, where they lay before anything was moved."
        yield _picture("Outlines before", note, scene, lambda axis, plane: panels.labels(axis, scene, plane, before, 0))
    note = f"The structures found, on {ground}."
    yield _picture(
        "Outlines after", note, scene, lambda axis, plane: panels.labels(axis, scene, plane, scene.labels, 0)
    )
    if target_known:
        for when, array, color in (("before", scene.atlas_before, BEFORE), ("after", scene.atlas_after, AFTER)):
            if array is not None:
                yield _checkerboard(scene, when, array, color)
    note = f"Lines that were straight and {panels.GRID_LINE_MM:g} mm apart in the atlas; the affine is taken out."
    yield _picture("Deformed grid", note, scene, lambda axis, plane: panels.grid_lines(axis, scene, plane))
    limit = panels.jacobian_limit(scene)
    note = (
        "The Jacobian: red where the atlas is larger than the target, blue where it is smaller, green where it folds."
    )
    yield _picture(
        "Local size",
        note,
        scene,
        lambda axis, plane: panels.local_size(axis, scene, plane, limit),
        lambda figure, colored: panels.color_bar(figure, colored, limit, _BAR),
    )
    sure = scene.confidence
    if sure is not None:
        note = "How sure each voxel's label is, 0 to 1: look at the red and yellow places."
        yield _picture(
            "Confidence", note, scene, lambda axis, plane: panels.confidence(axis, scene, plane, sure), _confidence_bar
        )
    unsure = scene.review
    if unsure is not None:
        note = "Red where the atlases disagree so much that somebody should decide."
        yield _picture("To look at", note, scene, lambda axis, plane: panels.marked(axis, scene, plane, unsure))


def thumbnail(scene: Scene) -> bytes:
    """A small PNG of the axial slice with the structures found."""
    plane = scene.planes()[0]
    width, height = plane.extent(scene.grid)
    scale = THUMBNAIL_PIXELS / DPI / max(width, height)
    figure = _figure(width * scale, height * scale)
    axis = figure.add_axes((0, 0, 1, 1))
    panels.labels(axis, scene, plane, scene.labels)
    panels.frame(axis, ("", "", "", ""))
    return _png(figure)


def _checkerboard(scene: Scene, when: str, array: Any, color: str) -> Picture:
    place = "as it was placed" if when == "before" else "after the registration"
    note = f"Squares of the target (grey) and of the atlas (tinted) {place}: edges should run through."
    return _picture(
        f"Checkerboard {when}", note, scene, lambda axis, plane: panels.checkers(axis, scene, plane, array, color)
    )


def _picture(
    title: str, note: str, scene: Scene, draw: Draw, bar: Callable[[Figure, Any], None] | None = None
) -> Picture:
    planes = scene.planes()
    extents = [plane.extent(scene.grid) for plane in planes]
    across, high = sum(width for width, _ in extents), max(height for _, height in extents)
    figure = _figure(WIDTH_INCHES, WIDTH_INCHES * _ROOM * high / across)
    left, colored = 0.0, None
    for plane, (width, height) in zip(planes, extents, strict=True):
        share = _ROOM * width / across
        axis = figure.add_axes((left, (1 - height / high) / 2, share * 0.99, height / high))
        colored = draw(axis, plane)
        panels.frame(axis, plane.letters)
        left += share
    if bar is not None:
        bar(figure, colored)
    return Picture(title, note, _png(figure))


def _confidence_bar(figure: Figure, colored: Any) -> None:
    bar = figure.colorbar(colored, cax=figure.add_axes(_BAR))
    bar.set_ticks(list(_CONFIDENCE_TICKS))
    bar.ax.tick_params(colors=FAINT, labelsize=8.5, length=0)
    bar.outline.set_visible(False)


def _figure(width: float, height: float) -> Figure:
    canvas = load_extra("matplotlib.backends.backend_agg", "report", "The report")
    figure: Figure = load_extra("matplotlib.figure", "report", "The report").Figure(
        figsize=(width, height), dpi=DPI, facecolor=BACKGROUND
    )
    canvas.FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", facecolor=BACKGROUND)
    return stream.getvalue()
