"""What a model's segmentation has to beat: measured without the model, and only while nobody cancels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from JointRegSegLib.job import Code, Device, JobError, Quality
from JointRegSegLib.pipeline.trained import TrainedModel
from JointRegSegLib.study import evaluate as evaluate_module
from JointRegSegLib.study.evaluate import Arm, Study, evaluate
from JointRegSegLib.study.train import Trained
from JointRegSegLib.study.yardstick import optimisation_dice
from JointRegSegLib.training.subjects import Split
from Testing.engine.model_cases import trained_on_boxes


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_on_boxes(tmp_path_factory.mktemp("trained"))


def _data(trained: Trained) -> Path:
    return trained.model.parents[1] / "data"


def test_each_validation_scan_is_registered_once_without_the_model(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = []
    real = evaluate_module.register_step

    def counted(*given: Any) -> Any:
        registered.append(given)
        return real(*given)

    def never(*given: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(evaluate_module, "register_step", counted)
    monkeypatch.setattr(TrainedModel, "propose", never)
    found = optimisation_dice(trained.model, _data(trained), Device.CPU, 1, lambda: False)
    assert len(registered) == 2
    arms = Study(
        trained.model,
        _data(trained),
        tmp_path / "out",
        Split.VALIDATE,
        1,
        (Arm.OPTIMISATION,),
        Quality.FAST,
        device=Device.CPU,
        threads=1,
    )
    records = evaluate(arms, lambda event: None)
    each = [sum(record.dice["registration"].values()) / 2 for record in records]
    assert found == pytest.approx(sum(each) / 2)
    assert len(registered) == 2 + 3  # where seconds count, the first is done once before


def test_it_can_be_cancelled(trained: Trained) -> None:
    asked: list[int] = []

    def soon() -> bool:
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(JobError) as caught:
        optimisation_dice(trained.model, _data(trained), Device.CPU, 1, soon)
    assert caught.value.code is Code.CANCELLED
