"""Nodes to put into the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def a_volume_node(a_scene: Any) -> Callable[..., Any]:
    """Makes a volume node from an array (k, j, i) and a 4x4 matrix from indices to RAS mm."""

    def make(array: Any, ijk_to_ras: Any = None, name: str = "volume", kind: str = "vtkMRMLScalarVolumeNode") -> Any:
        import slicer.util

        matrix = np.eye(4) if ijk_to_ras is None else ijk_to_ras
        node = slicer.util.addVolumeFromArray(np.ascontiguousarray(array), matrix, name, kind)
        node.CreateDefaultDisplayNodes()
        return node

    return make
