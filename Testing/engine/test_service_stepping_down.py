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
OF_THE_DRIVER = RuntimeError("CUDA error: out of memory")
OF_APPLE = RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)")
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
def handed_back(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A PyTorch with a card; the cards whose cached memory was handed back."""
    found: list[str] = []
    cuda = SimpleNamespace(is_available=lambda: True, empty_cache=lambda: found.append("cuda"))
    backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: False))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, backends=backends))
    return found


def do(pipeline: Pipeline, folder: Path, device: Device = Device.AUTO) -> tuple[Result, list[Event], list[str]]:
    """The result, the events, and a word for each new beginning."""
    events: list[Event] = []
    beginnings: list[str] = []
    run = stepping_down(pipeline.run, lambda: beginnings.append("again"))
    request = Request((Atlas(Path("atlas.nii"), Path("labels.nii")),), Path("target.nii"), folder, device=device)
    return run(request, events.append, lambda: False), events, beginnings


@pytest.mark.parametrize("device", [Device.AUTO, Device.CUDA, Device.MPS])
@pytest.mark.parametrize("failure", [TOO_LARGE, OF_THE_DRIVER, OF_APPLE], ids=["torch", "driver", "apple"])
def test_the_run_begins_again_on_the_cpu_and_the_result_says_so(
    tmp_path: Path, device: Device, failure: BaseException, handed_back: list[str]
) -> None:
    pipeline = Pipeline(failure)
    result, events, beginnings = do(pipeline, tmp_path, device)
    assert pipeline.devices == [device, Device.CPU]
    assert handed_back == ["cuda"]
    assert [(event.kind, event.message) for event in events] == [(Kind.CAUTION, CAUTION.message)]
    assert beginnings == ["again"]
    assert Result.open(result.folder).quality.cautions == (CAUTION,)
    assert CAUTION.message in result.path(QUALITY_CSV).read_text(encoding="utf-8")


@pytest.mark.usefixtures("handed_back")
@pytest.mark.parametrize(
    "failure",
    [
        NEVER_FITS,
        MemoryError("Unable to allocate 9 TiB"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
        ValueError("shapes differ"),
        JobError(Code.CANCELLED, "The run was cancelled."),
    ],
    ids=["budget", "numpy", "torch-cpu", "mistake", "cancel"],
)
def test_want_of_main_memory_other_failures_and_a_cancel_stay(tmp_path: Path, failure: Exception) -> None:
    pipeline = Pipeline(failure)
    with pytest.raises(type(failure)) as caught:
        do(pipeline, tmp_path)
    assert caught.value is failure
    assert pipeline.devices == [Device.AUTO]


@pytest.mark.usefixtures("handed_back")
def test_a_caution_that_cannot_be_written_leaves_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise JobError(Code.DISK_FULL, "The disk is full.", "Free some space.")

    monkeypatch.setattr("JointRegSegLib.service.stepping_down.write_whole", full)
    result, events, _ = do(Pipeline(TOO_LARGE), tmp_path)
    assert Result.open(result.folder).quality.cautions == ()
    assert [event.message for event in events] == [CAUTION.message]
