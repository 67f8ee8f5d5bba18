"""One picture of what a user sees: slice views with segments and deformed grid, a 3-D view, and the panel.

    python -m Testing.rig.sheet --output Resources/Screenshots/JointRegSeg.png

makes the phantom pair, runs the main job on it, loads the result into a scene and draws it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CAPTION = "Rendered with Slicer's libraries (slicer-core); panel drawn with stand-in widgets"
VIEWS = ("Axial", "Coronal", "Sagittal", "Segments in 3-D")
QUALITIES = ("fast", "normal", "accurate")
_BACKGROUND, _INK, _FAINT = (28, 30, 36), (240, 240, 240), (165, 170, 180)
_GAP, _BAR, _VIEW = 8, 30, (460, 400)


def sheet(views: Sequence[Any], panel_png: Path | None, output_png: Path, captions: Sequence[str]) -> None:
    """Put views in two columns beside the panel.

    Args:
        views: pictures (height, width, 3) uint8, all of one size.
        panel_png: picture of the panel, or None to leave it out.
        output_png: the file to write; its folder is made where missing.
        captions: one for each view.
    """
    height, width = views[0].shape[:2]
    rows = (len(views) + 1) // 2
    tall = rows * (height + _BAR + _GAP) + _GAP
    panel = Image.open(panel_png).convert("RGB") if panel_png is not None else None
    if panel is not None:
        panel.thumbnail((panel.width, tall - _BAR - 2 * _GAP), Image.Resampling.LANCZOS)
    left = panel.width + 2 * _GAP if panel is not None else _GAP
    canvas = Image.new("RGB", (left + 2 * (width + _GAP), tall + _BAR), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    if panel is not None:
        draw.text((_GAP, _GAP + 6), "JointRegSeg", _INK, _font(15))
        canvas.paste(panel, (_GAP, _GAP + _BAR))
    for number, (view, caption) in enumerate(zip(views, captions, strict=True)):
        x = left + number % 2 * (width + _GAP)
        y = _GAP + number // 2 * (height + _BAR + _GAP)
        draw.text((x, y + 6), caption, _INK, _font(15))
        canvas.paste(Image.fromarray(np.ascontiguousarray(view)), (x, y + _BAR))
    draw.text((_GAP, tall + 2), CAPTION, _FAINT, _font(13))
    output_png.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(output_png, optimize=True)


def draw_run(rig: Any, run: Any, target: Any, *, grid: bool = True, size: tuple[int, int] = _VIEW) -> list[Any]:
    """Three slice views through the middle of the segments, and their surfaces in 3-D.

    Args:
        rig: a `Testing.rig.mrml.Rig`.
        run: the loaded result, `JointRegSegLib.scene.RunNodes`.
        target: the target's volume node.
        grid: whether to draw the deformed grid.
        size: width and height of a view in pixels.
    """
    from JointRegSegLib.scene import show_grid

    from .views import SliceView, ThreeDView

    segmentation = rig.scene.GetNodeByID(run.segmentation)
    segmentation.CreateClosedSurfaceRepresentation()
    display = segmentation.GetDisplayNode()
    display.SetOpacity2DFill(0.35)
    display.SetOpacity2DOutline(1.0)
    for segment_id in _hiding_segments(segmentation.GetSegmentation()):
        display.SetSegmentOpacity3D(segment_id, 0.12)
    show_grid(rig.scene.GetNodeByID(run.deformation), grid)
    bounds = np.zeros(6)
    segmentation.GetBounds(bounds)
    centre = bounds.reshape(3, 2).mean(axis=1)
    pictures = []
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        view = SliceView(rig, name, orientation, size)
        view.show(target)
        pictures.append(view.draw(centre, zoom=1.2))
        view.close(rig)
    surfaces = ThreeDView(rig, size)
    pictures.append(surfaces.draw())
    surfaces.close(rig)
    return pictures


def main(arguments: list[str] | None = None) -> None:
    """Run the main job on the phantom pair and draw it."""
    parser = argparse.ArgumentParser(prog="python -m Testing.rig.sheet", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="the picture to write (.png)")
    parser.add_argument("--quality", default="normal", choices=QUALITIES)
    parser.add_argument("--seed", type=int, default=0, help="of the phantom pair")
    options = parser.parse_args(arguments)
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory(prefix="jointregseg-sheet-") as folder:
        _draw_phantom(Path(folder), options.output, options.quality, options.seed)


def _draw_phantom(folder: Path, output: Path, quality: str, seed: int) -> None:
    """Choose the nodes in the panel, click Run, wait, and draw panel and views."""
    import slicer.util

    from JointRegSegLib.phantom import write_pair

    from . import gui
    from .clicks import click
    from .mrml import Rig

    (folder / "rig").mkdir()
    rig = Rig(folder / "rig")
    gui.install()
    gui.add_events(slicer.app)
    files = write_pair(folder / "pair", seed)
    atlas = slicer.util.loadVolume(str(files.atlas), {"name": "Atlas"})
    labels = slicer.util.loadVolume(str(files.atlas_labels), {"name": "Atlas labels", "labelmap": True})
    colors = rig.logics["colors"].LoadColorFile(str(files.table), "Structures")
    labels.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    target = slicer.util.loadVolume(str(files.target), {"name": "Target"})
    brightest = float(slicer.util.arrayFromVolume(target).max())
    target.GetDisplayNode().SetAutoWindowLevel(False)
    target.GetDisplayNode().SetWindowLevelMinMax(0.0, brightest)

    widget = gui.open_widget(gui.load_module())
    ui = widget.panel.ui
    ui.atlasVolumeSelector.setCurrentNode(atlas)
    ui.atlasLabelsSelector.setCurrentNode(labels)
    ui.targetVolumeSelector.setCurrentNode(target)
    ui.qualityComboBox.currentIndex = QUALITIES.index(quality)
    gui.wait_until(lambda: bool(ui.runButton.enabled), 60.0)
    click(ui.runButton)
    session = widget.panel.session
    gui.wait_until(lambda: not session.is_active, 900.0)
    if session.error is not None:
        raise session.error
    click(ui.gridButton)
    panel = folder / "panel.png"
    gui.grab_panel(widget, panel)
    sheet(draw_run(rig, session.nodes, target), panel, output, VIEWS)
    gui.close_widget(widget)


def _hiding_segments(segmentation: Any, share: float = 0.5, few: int = 5) -> list[str]:
    """The segments that would hide the others in 3-D by the size of their boxes; none of a few."""
    if segmentation.GetNumberOfSegments() <= few:
        return []
    volumes = {}
    for segment_id in segmentation.GetSegmentIDs():
        bounds = np.array(segmentation.GetSegmentRepresentation(segment_id, "Closed surface").GetBounds())
        volumes[segment_id] = float(np.prod(np.diff(bounds.reshape(3, 2), axis=1)))
    return [segment_id for segment_id, volume in volumes.items() if volume > share * max(volumes.values())]


def _font(size: int) -> Any:
    """matplotlib brings this font along; PIL's own has no sizes everywhere."""
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


if __name__ == "__main__":
    main()
