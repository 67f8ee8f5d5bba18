"""The console's example in the README, word for word, with real workers on a small phantom pair."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from JointRegSegLib.metrics import dice
from JointRegSegLib.phantom import PhantomFiles, write_pair
from JointRegSegLib.volumes import read_label_map
from Testing.rig.need import need

need("slicer", "slicer-core")
need("torch")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.gui import SOURCES, wait_until  # noqa: E402

pytestmark = pytest.mark.gui

SECONDS = 240


def example() -> str:
    """The Python code under the README's heading for Slicer's console."""
    section = (SOURCES / "README.md").read_text(encoding="utf-8").split("## Slicer's console")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    return code[1]


@pytest.fixture
def pair(module: ModuleType, tmp_path: Path) -> PhantomFiles:
    """The nodes that the example names, in the scene."""
    files = write_pair(tmp_path, size=40)
    slicer.util.loadVolume(str(files.atlas), {"name": "Atlas"})
    slicer.util.loadLabelVolume(str(files.atlas_labels), {"name": "AtlasLabels"})
    slicer.util.loadVolume(str(files.target), {"name": "Patient"})
    return files


def mean_dice(nodes: Any, files: PhantomFiles) -> float:
    """Of the label map node with the true labels of the target."""
    truth = read_label_map(files.target_labels, files.table)
    found = slicer.util.arrayFromVolume(slicer.mrmlScene.GetNodeByID(nodes.labels))
    scores = dice(found, truth.array, truth.table)
    return sum(scores.values()) / len(scores)


def test_the_readmes_example_segments_the_target_twice(pair: PhantomFiles) -> None:
    names: dict[str, Any] = {}
    exec(compile(example(), "README.md", "exec"), names)
    handle, waited = names["handle"], names["nodes"]
    assert handle.state == "running"
    assert handle.nodes is None
    assert mean_dice(waited, pair) > 0.7
    wait_until(lambda: handle.state not in ("running", "cancelling"), SECONDS)
    assert handle.error is None
    first, second = (
        slicer.util.arrayFromVolume(slicer.mrmlScene.GetNodeByID(nodes.labels)) for nodes in (waited, handle.nodes)
    )
    assert np.array_equal(first, second)


def test_a_handle_cancels_a_real_run(pair: PhantomFiles, module: ModuleType) -> None:
    before = slicer.mrmlScene.GetNumberOfNodes()
    handle = module.JointRegSegLogic().run(
        atlas="Atlas", atlasLabels="AtlasLabels", target="Patient", quality="accurate", wait=False
    )
    wait_until(lambda: handle.event is not None and handle.event.stage == "align", SECONDS)
    handle.cancel()
    wait_until(lambda: handle.state == "cancelled", 20)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
