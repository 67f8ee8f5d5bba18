"""Want of memory on a graphics card: the run begins again on the CPU and says so; simulated, without a card."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from JointRegSegLib.job import Atlas, Code, Device, Event, JobError, Kind, QualityTable, Request, Result
from JointRegSegLib.job.result import FILES, MANIFEST, QUALITY_CSV, QUALITY_JSON
from JointRegSegLib.service.stepping_down import CAUTION, stepping_down
from Testing.engine.toy_worker import OutOfMemoryError

TOO_LARGE = OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
NEVER_FITS = JobError(Code.OUT_OF_MEMORY, "These scans need at least 9.00 GB of memory; 0.10 GB may be used.", "Crop.")


class Pipeline:
    """Fails on a graphics card; on the CPU it gives a result."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure
        self.devices: list[Device] = []

    def run(self, request: Request, report: Callable[[Event], None], cancelled: Callable[[], bool]) -> Result:
        self.devices.append(request.device)
        if request.device is not Device.CPU:
            raise self.failure
        for name in FILES:
            (request.output / name).touch()
        (request.output / QUALITY_JSON).write_text(QualityTable().to_json(), encoding="utf-8")
        (request.output / MANIFEST).write_text("{}", encoding="utf-8")
        return Result(request.output)


@pytest.fixture
def a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: True)))


def do(pipeline: Pipeline, folder: Path, device: Device = Device.AUTO) -> tuple[Result, list[Event], list[str]]:
    """The result, the events, and a word for each new beginning."""
    events: list[Event] = []
    beginnings: list[str] = []
    run = stepping_down(pipeline.run, lambda: beginnings.append("again"))
    request = Request((Atlas(Path("atlas.nii"), Path("labels.nii")),), Path("target.nii"), folder, device=device)
    return run(request, events.append, lambda: False), events, beginnings


@pytest.mark.usefixtures("a_card")
@pytest.mark.parametrize("device", [Device.AUTO, Device.CUDA, Device.MPS])
@pytest.mark.parametrize("failure", [TOO_LARGE, NEVER_FITS], ids=["torch", "budget"])
def test_the_run_begins_again_on_the_cpu_and_the_result_says_so(
    tmp_path: Path, device: Device, failure: BaseException
) -> None:
    pipeline = Pipeline(failure)
    result, events, beginnings = do(pipeline, tmp_path, device)
    assert pipeline.devices == [device, Device.CPU]
    assert [(event.kind, event.message) for event in events] == [(Kind.CAUTION, CAUTION.message)]
    assert beginnings == ["again"]
    assert Result.open(result.folder).quality.cautions == (CAUTION,)
    assert CAUTION.message in result.path(QUALITY_CSV).read_text(encoding="utf-8")


@pytest.mark.usefixtures("a_card")
def test_other_failures_and_a_cancel_stay(tmp_path: Path) -> None:
    for failure in (ValueError("shapes differ"), JobError(Code.CANCELLED, "The run was cancelled.")):
        pipeline = Pipeline(failure)
        with pytest.raises(type(failure)):
            do(pipeline, tmp_path)
        assert pipeline.devices == [Device.AUTO]


def test_without_a_card_there_is_nothing_to_step_down_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False)))
    pipeline = Pipeline(MemoryError("Unable to allocate 9 TiB"))
    with pytest.raises(MemoryError):
        do(pipeline, tmp_path)
    assert pipeline.devices == [Device.AUTO]
