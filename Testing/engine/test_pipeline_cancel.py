"""A cancel ends a run at every step and in the midst of long ones; nothing stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from JointRegSegLib.job import Code, Event, JobError, Quality
from JointRegSegLib.phantom import PhantomFiles
from JointRegSegLib.pipeline import run
from JointRegSegLib.registration import PRESETS
from Testing.engine.pipeline_cases import everything_in, request_for

STEPS = ["prepare", "align", "register", "fuse", "check", "write"]


@pytest.mark.parametrize("step", STEPS)
def test_a_cancel_in_any_step_leaves_nothing(files: PhantomFiles, tmp_path: Path, step: str) -> None:
    seen: list[str] = []
    with pytest.raises(JobError) as caught:
        run(request_for(files, tmp_path / "deep" / "out"), lambda event: seen.append(event.stage), lambda: step in seen)
    assert caught.value.code is Code.CANCELLED
    assert seen[-1] == step
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_in_the_last_moment_keeps_the_earlier_result(files: PhantomFiles, tmp_path: Path) -> None:
    request = request_for(files, tmp_path / "out", overwrite=True)
    run(request, lambda event: None, lambda: False)
    before = everything_in(tmp_path)
    asked: list[Event] = []
    with pytest.raises(JobError):
        run(request, asked.append, lambda: len(asked) > 0 and asked[-1].stage == "write")
    assert everything_in(tmp_path) == before


def test_every_iteration_asks(files: PhantomFiles, tmp_path: Path) -> None:
    stages: list[str] = [""]
    asked: list[str] = []

    def count() -> bool:
        asked.append(stages[-1])
        return False

    run(request_for(files, tmp_path / "out"), lambda event: stages.append(event.stage), count)
    assert asked.count("register") >= sum(level.steps for level in PRESETS[Quality.FAST].levels[-2:])
    assert asked.count("align") >= 4
