"""What holds for every test, and the one scene on Slicer's libraries that the tests of a process share."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from Testing.rig.need import need, skipping_forbidden

if TYPE_CHECKING:
    from Testing.rig.mrml import Rig
    from Testing.scene.results import FinishedRun

_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _PROCESSES > 1:  # before PyTorch is imported; threads that wait for one another would take the cores from the others
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // _PROCESSES, 1)))


@pytest.fixture(scope="session")
def the_rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """Slicer's libraries, set up once for all tests of a process."""
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


@pytest.fixture(scope="session")
def the_run(tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A finished run on disk, for tests that only read it."""
    from Testing.scene.results import finished_run

    return finished_run(tmp_path_factory.mktemp("run"))


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where JRS_NO_SKIP=1, whatever is skipped has failed."""
    if skipping_forbidden() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{reason} (a skip is a failure where JRS_NO_SKIP=1)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
