"""Fixtures for tests on Slicer's libraries: a scene that is new for each test, and nodes to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from Testing.rig.need import need

if TYPE_CHECKING:
    from Testing.rig.mrml import Rig


@pytest.fixture(scope="session")
def the_rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Slicer's libraries set up once for the whole run."""
    need("slicer", "slicer-core")
    from Testing.rig.mrml import Rig

    return Rig(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def a_rig(the_rig: Rig) -> Iterator[Rig]:
    """The rig with an empty scene."""
    the_rig.clear()
    yield the_rig
    the_rig.clear()


@pytest.fixture
def a_scene(a_rig: Rig) -> Any:
    """An empty MRML scene, set up as the application would."""
    return a_rig.scene


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
