"""A picture of each section of the panel, for the user guide.

    python -m Testing.rig.screens --output Resources/Screenshots

makes the phantom pair, runs the main job on it through the panel, and draws the sections.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

SECTIONS = ("inputs", "lists", "landmarks", "method", "advanced", "setup", "run", "result", "refine", "train")


def main(arguments: list[str] | None = None) -> None:
    """Run the main job on the phantom pair and draw every section."""
    parser = argparse.ArgumentParser(prog="python -m Testing.rig.screens", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--size", type=int, default=96, help="voxels along a side of the phantom pair")
    options = parser.parse_args(arguments)
    os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jointregseg-screens-") as folder:
        os.environ["JOINTREGSEG_HOME"] = str(Path(folder) / "home")
        _draw(Path(folder), options.output, options.size)


def _draw(folder: Path, output: Path, size: int) -> None:
    import slicer.util

    from JointRegSegLib.phantom import write_pair

    from . import gui
    from .clicks import click
    from .mrml import Rig

    (folder / "rig").mkdir()
    rig = Rig(folder / "rig")
    gui.install()
    gui.add_events(slicer.app)
    files = write_pair(folder / "pair", size=size)
    atlas = slicer.util.loadVolume(str(files.atlas), {"name": "Atlas"})
    labels = slicer.util.loadVolume(str(files.atlas_labels), {"name": "Atlas labels", "labelmap": True})
    truth = slicer.util.loadVolume(str(files.target_labels), {"name": "Known labels", "labelmap": True})
    colors = rig.logics["colors"].LoadColorFile(str(files.table), "Structures")
    for node in (labels, truth):
        node.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    target = slicer.util.loadVolume(str(files.target), {"name": "Target"})
    widget = gui.open_widget(gui.load_module())
    ui = widget.panel.ui
    ui.atlasVolumeSelector.setCurrentNode(atlas)
    ui.atlasLabelsSelector.setCurrentNode(labels)
    ui.targetVolumeSelector.setCurrentNode(target)
    click(ui.addAtlasButton)
    click(ui.addTargetButton)
    gui.wait_until(lambda: bool(ui.runButton.enabled), 60.0)
    gui.wait_until(lambda: bool(ui.memoryLabel.text), 60.0)
    click(ui.runButton)
    gui.wait_until(lambda: not widget.panel.run_section.is_active, 900.0)
    if widget.panel.session.error is not None:
        raise widget.panel.session.error
    ui.referenceSelector.setCurrentNode(truth)
    for name in SECTIONS:
        _grab(widget, getattr(ui, f"{name}CollapsibleButton"), output / f"section-{name}.png")
    gui.close_widget(widget)


def _grab(widget: Any, section: Any, file: Path) -> None:
    """Draw one section, unfolded in a window that is tall enough for it."""
    from . import gui

    section.collapsed = False
    gui.fit(widget)
    gui.pump(0.05)
    section.grab().save(str(file))


if __name__ == "__main__":
    main()
