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
from JointRegSegLib.study.yardstick import run_scores
from JointRegSegLib.training.subjects import Split
from Testing.engine.model_cases import trained_on_boxes


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_on_boxes(tmp_path_factory.mktemp("trained"))


def _data(trained: Trained) -> Path:
    return trained.model.parents[1] / "data"


def test_each_validation_scan_is_registered_without_and_with_the_model(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered, asked = [], []
    register, propose = evaluate_module.register_step, TrainedModel.propose
    monkeypatch.setattr(evaluate_module, "register_step", lambda *given: registered.append(1) or register(*given))
    monkeypatch.setattr(TrainedModel, "propose", lambda *given: asked.append(1) or propose(*given))
    found = run_scores(trained.model, _data(trained), Device.CPU, 1, lambda: False)
    assert (len(registered), len(asked)) == (2 * 2, 2)  # two scans, and nothing to warm up
    study = Study(
        trained.model,
        _data(trained),
        tmp_path / "out",
        Split.VALIDATE,
        1,
        (Arm.OPTIMISATION, Arm.IMAGES),
        Quality.FAST,
        device=Device.CPU,
        threads=1,
    )
    records = {arm: [one for one in evaluate(study, lambda event: None) if one.arm == arm] for arm in study.arms}

    def mean(arm: Arm, source: str) -> float:
        return sum(sum(one.dice[source].values()) / 2 for one in records[arm]) / 2

    assert found == {
        "optimisation": pytest.approx(mean(Arm.OPTIMISATION, "registration")),
        "fused": pytest.approx(mean(Arm.IMAGES, "fused")),
    }


def test_the_network_is_not_asked_for_the_optimisation_alone(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(TrainedModel, "propose", never)
    arms = (Arm.OPTIMISATION,)
    study = Study(trained.model, _data(trained), tmp_path, Split.VALIDATE, 1, arms, Quality.FAST, device=Device.CPU)
    assert len(evaluate(study, lambda event: None)) == 2


def test_it_can_be_cancelled(trained: Trained) -> None:
    asked: list[int] = []

    def soon() -> bool:
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(JobError) as caught:
        run_scores(trained.model, _data(trained), Device.CPU, 1, soon)
    assert caught.value.code is Code.CANCELLED
