"""What the pipeline's tests share: one small pair on disk and one run of it."""

from __future__ import annotations

import pytest

from JointRegSegLib.phantom import PhantomFiles, write_pair
from Testing.engine.pipeline_cases import Told, request_for, run_quietly


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> PhantomFiles:
    """The phantom pair on 40 voxels from left to right."""
    return write_pair(tmp_path_factory.mktemp("phantom"), size=40)


@pytest.fixture(scope="session")
def told(files: PhantomFiles, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A finished run of that pair, with everything that it reported."""
    return run_quietly(request_for(files, tmp_path_factory.mktemp("run") / "out"))
