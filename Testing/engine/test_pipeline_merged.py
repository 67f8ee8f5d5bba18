"""A model whose classes are merged structures, with atlases that have them apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from JointRegSegLib import cli
from JointRegSegLib.job import Atlas, Code, Device, Kind, Quality, Refinement, Request
from JointRegSegLib.job.result import LABELS
from JointRegSegLib.pipeline.trained import TrainedModel
from JointRegSegLib.study.train import Trained
from JointRegSegLib.training.package import load_package, save_package
from JointRegSegLib.volumes import LabelMap, LabelTable, read_label_map
from Testing.engine.model_cases import trained_on_boxes
from Testing.engine.pipeline_cases import Told, refused, run_quietly

GOOD = {"segmentation": 0.9, "registration": 0.8}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model that knows both boxes as one, whose segmentation is trusted."""
    found = trained_on_boxes(tmp_path_factory.mktemp("merged"), more="[data.structures]\nboxes = [5, 2]\n")
    weights, card = load_package(found.model)
    save_package(found.model, weights, replace(card, scores=GOOD))
    return found


@pytest.fixture(scope="module")
def boxes(trained: Trained) -> Path:
    """The data set, one atlas of which has a structure that the model leaves out."""
    folder = trained.model.parents[1] / "data"
    labels = sitk.ReadImage(str(folder / "00_labels.nii.gz"))
    array = sitk.GetArrayFromImage(labels)
    array[15:19, 8:15, 8:12] = 9
    more = sitk.GetImageFromArray(array)
    more.CopyInformation(labels)
    sitk.WriteImage(more, str(folder.parent / "more.nii.gz"))
    return folder


def _run(trained: Trained, boxes: Path, labels: Path, output: Path, how: Refinement) -> Told:
    atlas = Atlas(boxes / "00_mr.nii.gz", labels, boxes / "table.txt")
    return run_quietly(_request(trained, boxes, atlas, output, how))


def _request(trained: Trained, boxes: Path, atlas: Atlas, output: Path, how: Refinement) -> Request:
    return Request(
        (atlas,), boxes / "05_mr.nii.gz", output, method="deepatlas", model=trained.model, refinement=how,
        start="as-placed", quality=Quality.FAST, device=Device.CPU, threads=1,
    )  # fmt: skip


@pytest.mark.parametrize("how", [Refinement.AUTO, Refinement.IMAGES])
def test_labels_keep_the_atlas_own_values(how: Refinement, trained: Trained, boxes: Path, tmp_path: Path) -> None:
    told = _run(trained, boxes, boxes / "00_labels.nii.gz", tmp_path / "out", how)
    manifest = told.result.manifest
    assert (manifest["refinement"], manifest["fused"]) == ("joint" if how is Refinement.AUTO else "images", False)
    found = read_label_map(told.result.path(LABELS), boxes / "table.txt")
    assert set(np.unique(found.array)) == {0, 2, 5}
    said = [event.message for event in told.events if event.kind is Kind.LOG]
    assert "The model merges structures: boxes (5, 2). Labels keep the atlas's own values." in said
    assert sum("labels are not fused" in line and "merged ones" in line for line in said) == 1


def test_structures_that_the_model_leaves_out_are_carried_over(trained: Trained, boxes: Path, tmp_path: Path) -> None:
    told = _run(trained, boxes, boxes.parent / "more.nii.gz", tmp_path / "out", Refinement.JOINT)
    assert told.result.manifest["refinement"] == "joint"
    assert 9 in read_label_map(told.result.path(LABELS)).array


def test_an_atlas_without_any_of_its_values_is_refused(trained: Trained, boxes: Path, tmp_path: Path) -> None:
    labels = sitk.ReadImage(str(boxes / "00_labels.nii.gz"))
    sitk.WriteImage(sitk.Cast(labels > 0, sitk.sitkUInt16) * 7, str(tmp_path / "other.nii.gz"))
    atlas = Atlas(boxes / "00_mr.nii.gz", tmp_path / "other.nii.gz")
    request = _request(trained, boxes, atlas, tmp_path / "made" / "out", Refinement.AUTO)
    refused(request, Code.MODEL_UNFIT, "does not know 7 label 7")


def test_labels_as_the_model_has_them(trained: Trained, boxes: Path) -> None:
    model = TrainedModel.load(trained.model, "deepatlas", torch.device("cpu"))
    labels = read_label_map(boxes / "00_labels.nii.gz", boxes / "table.txt")
    more = LabelMap(np.where(labels.array == 0, 9, labels.array).astype(np.uint16), labels.grid, LabelTable())
    for given in (labels, more, model.merged(labels)):
        found = model.merged(given)
        assert np.array_equal(found.array, np.where(labels.array > 0, 5, 0))
        assert [label.name for label in found.table.values()] == ["boxes"]


def test_an_evaluation_compares_merged_labels(
    trained: Trained, boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command: Sequence[object] = [
        "evaluate", "--model", trained.model, "--data", boxes, "--output", out, "--split", "val", "--atlases", 1,
        "--refine", "none", "--quality", "fast", "--start", "as-placed", "--device", "cpu", "--threads", 1,
    ]  # fmt: skip
    assert cli.main(list(map(str, command))) == 0
    assert "The model merges structures: boxes (5, 2)." in capsys.readouterr().err
    for line in (out / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert {source: list(scores) for source, scores in record["dice"].items()} == {
            source: ["boxes"] for source in ("registration", "segmentation", "fused")
        }
        assert record["dice"]["registration"]["boxes"] > 0.3
