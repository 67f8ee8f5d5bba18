"""What holds for every test: where JRS_NO_SKIP=1, whatever is skipped has failed."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from Testing.rig.need import skipping_forbidden


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
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
