"""Runs of the pipeline with a trained method in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from JointRegSegLib import cli
from JointRegSegLib.fields import affine_positions, resize_image, sample, to_lps, warp
from JointRegSegLib.job import Atlas, Code, Device, JobError, Kind, Quality, Refinement, Request, Similarity
from JointRegSegLib.job.result import CONFIDENCE, FIELD, FILES, LABELS
from JointRegSegLib.metrics import dice
from JointRegSegLib.pipeline.fuse import fuse
from JointRegSegLib.pipeline.memory import PER_WORKING_VOXEL, Budget
from JointRegSegLib.pipeline.prepare import Inputs, prepare
from JointRegSegLib.pipeline.progress import Progress
from JointRegSegLib.pipeline.propagate import propagate
from JointRegSegLib.pipeline.proposal import Proposal, Use
from JointRegSegLib.pipeline.trained import TrainedModel
from JointRegSegLib.registration import PRESETS, Scan, pair_on, register, working_grid
from JointRegSegLib.study.train import Trained
from JointRegSegLib.training.package import load_package, save_package
from JointRegSegLib.volumes import Grid, LabelMap, canonical, read_label_map, read_volume
from Testing.engine.model_cases import trained_on_boxes
from Testing.engine.pipeline_cases import Told, mean_dice, refused, run_quietly
from Testing.engine.tensor_cases import smooth_field

SEEN = 13
"""Slices along the first axis that a made-up model sees: one of the boxes lies there, the other beyond."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of a few steps."""
    return trained_on_boxes(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def boxes(trained: Trained) -> Path:
    return trained.model.parents[1] / "data"


def _request(boxes: Path, model: Path, output: Path, **changes: Any) -> Request:
    atlas = Atlas(boxes / "00_mr.nii.gz", boxes / "00_labels.nii.gz", boxes / "table.txt")
    usual = {"method": "deepatlas", "model": model, "start": "as-placed"}
    usual |= {"quality": Quality.FAST, "device": Device.CPU, "threads": 1}
    return Request((atlas,), **{"target": boxes / "05_mr.nii.gz", "output": output, **usual, **changes})


GOOD, POOR = {"segmentation": 0.8, "registration": 0.8}, {"segmentation": 0.79, "registration": 0.8}


def _with_scores(trained: Trained, folder: Path, scores: dict[str, float]) -> Path:
    """The model, as if its validation had given these figures."""
    weights, card = load_package(trained.model)
    save_package(folder / "model.safetensors", weights, replace(card, scores=scores))
    return folder / "model.safetensors"


def _logged(told: Told, begin: str) -> list[str]:
    return [e.message for e in told.events if e.kind is Kind.LOG and e.message.startswith(begin)]


@pytest.fixture(scope="module")
def runs(trained: Trained, boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Refinement, Told]:
    """Of a model whose segmentation is trusted."""
    folder = tmp_path_factory.mktemp("runs")
    model = _with_scores(trained, folder, GOOD)
    return {how: run_quietly(_request(boxes, model, folder / how.value, refinement=how)) for how in Refinement}


@pytest.fixture(scope="module")
def careful(trained: Trained, boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The default run of a model whose segmentation was worse than its registration."""
    folder = tmp_path_factory.mktemp("careful")
    return run_quietly(_request(boxes, _with_scores(trained, folder, POOR), folder / "out"))


def test_the_manifest_and_the_log_say_what_was_used(runs: dict[Refinement, Told]) -> None:
    for how, told in runs.items():
        manifest = told.result.manifest
        assert manifest["method"] == "deepatlas"
        assert manifest["refinement"] == ("joint" if how is Refinement.AUTO else how.value)
        assert manifest["fused"] is True
        assert manifest["model"]["labelled"] == 2
        assert manifest["model"]["validation"] == GOOD
        assert len(manifest["model"]["digest"]) == 64
        assert _logged(told, "The model: deepatlas (steps ")
        assert len(_logged(told, "The model's field is ")) == 1


def test_a_poor_segmentation_changes_nothing_in_a_default_run(
    careful: Told, runs: dict[Refinement, Told], boxes: Path
) -> None:
    assert careful.result.manifest["refinement"] == "images"
    assert careful.result.manifest["fused"] is False
    assert sorted(path.name for path in careful.result.folder.iterdir()) == sorted(FILES)
    fields = [sitk.ReadImage(str(told.result.path(FIELD))) for told in (careful, runs[Refinement.IMAGES])]
    assert np.array_equal(*map(sitk.GetArrayFromImage, fields))
    found, fused = (
        read_label_map(told.result.path(LABELS), boxes / "table.txt").array
        for told in (careful, runs[Refinement.IMAGES])
    )
    assert not np.array_equal(found, fused)
    words = "labels are not fused: validation Dice of segmentation, 0.790, is less than registration's, 0.800."
    assert _logged(careful, "The model's field is refined by the images; ") == [
        f"The model's field is refined by the images; {words}"
    ]


def test_what_is_done_with_a_model_of_given_validation_scores(trained: Trained, tmp_path: Path) -> None:
    """Which refinement, and whether labels are fused, for what was asked."""
    nan = float("nan")
    auto, none, images, joint = Refinement
    cases: list[tuple[dict[str, float], Refinement, Refinement, bool]] = [
        (GOOD, auto, joint, True),
        (GOOD, none, none, True),
        (GOOD, images, images, True),
        (POOR, auto, images, False),
        (POOR, none, none, False),
        (POOR, images, images, False),
        (POOR, joint, joint, True),
        ({}, auto, images, False),
        ({"segmentation": 0.9}, auto, images, False),
        ({"segmentation": nan, "registration": 0.5}, auto, images, False),
        ({"segmentation": 0.9, "registration": nan}, auto, images, False),
        ({}, joint, joint, True),
        ({**GOOD, "optimisation": 0.99}, auto, images, False),
        ({**POOR, "optimisation": 0.5}, auto, joint, True),
        ({**POOR, "optimisation": 0.9, "fused": 0.92}, auto, images, True),
        ({**POOR, "optimisation": 0.9, "fused": 0.92}, none, none, True),
        ({**POOR, "optimisation": 0.9, "fused": 0.905}, auto, images, False),
        ({**GOOD, "optimisation": 0.5, "fused": 0.5}, auto, joint, True),
        ({**GOOD, "optimisation": 0.5, "fused": 0.4}, auto, joint, False),
        ({**GOOD, "optimisation": 0.5, "fused": 0.4}, joint, joint, True),
        ({**GOOD, "optimisation": 0.5, "fused": nan}, auto, joint, True),
    ]
    for scores, asked, expected, fused in cases:
        model = TrainedModel.load(_with_scores(trained, tmp_path, scores), "deepatlas", torch.device("cpu"))
        use = model.use(asked)
        assert (use.refinement, use.fused) == (expected, fused), (scores, asked)


def test_each_refinement_does_something_else_and_the_default_is_joint(runs: dict[Refinement, Told]) -> None:
    fields = {how: sitk.GetArrayFromImage(sitk.ReadImage(str(told.result.path(FIELD)))) for how, told in runs.items()}
    assert np.array_equal(fields[Refinement.AUTO], fields[Refinement.JOINT])
    for one, other in (("none", "images"), ("images", "joint"), ("none", "joint")):
        assert np.abs(fields[Refinement(one)] - fields[Refinement(other)]).max() > 0.1, (one, other)


def test_the_result_has_fused_labels_and_their_confidence(runs: dict[Refinement, Told], boxes: Path) -> None:
    for told in runs.values():
        folder = told.result.folder
        assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, CONFIDENCE])
        confidence = read_volume(folder / CONFIDENCE)
        found = read_label_map(folder / LABELS, boxes / "table.txt")
        assert confidence.grid.same_as(found.grid)
        assert 0.3 < confidence.array.min() <= confidence.array.max() <= 1.0
        assert {label.name for label in found.table.values()} == {"left box", "right box"}


def _known_proposal(boxes: Path, output: Path, refinement: Refinement) -> tuple[Inputs, Scan, Scan, Proposal, LabelMap]:
    """The pair, and a proposal without movement whose probabilities are the truth, in half of the target alone."""
    request = _request(boxes, output, output, start="as-placed")
    progress = Progress(lambda event: None, lambda: False)
    with progress.step("prepare", "reading"):
        inputs, target, atlas = prepare(request, progress)
    truth = canonical(read_label_map(boxes / "05_labels.nii.gz", boxes / "table.txt"))
    whole = truth.grid
    half = whole.box((0, 0, 0), (SEEN, whole.size[1], whole.size[2]))
    grid = half.resized(tuple((n + 1) // 2 for n in half.size))
    shares = [(truth.array == value).astype(np.float32)[..., :SEEN] for value in (0, 2, 5)]
    probabilities = resize_image(torch.from_numpy(np.stack(shares))[None], grid.shape)
    field = torch.zeros(1, 3, *grid.shape)
    structures, use = tuple(truth.table[value] for value in (2, 5)), Use(refinement, True, "")
    proposal = Proposal(field, probabilities, structures, ((2,), (5,)), grid, inputs.labels, np.eye(4), use, {})
    return inputs, target, atlas, proposal, truth


def test_a_segmentation_brings_home_what_the_images_do_not_show(boxes: Path, tmp_path: Path) -> None:
    overlaps = {}
    for how in (Refinement.IMAGES, Refinement.JOINT):
        inputs, target, atlas, proposal, truth = _known_proposal(boxes, tmp_path, how)
        pair = pair_on(working_grid(target, 1e6), target, atlas, np.eye(4))
        blind = replace(pair, fixed=torch.zeros_like(pair.fixed), moving=torch.zeros_like(pair.moving))
        guided = proposal.guided(blind)
        field = register(guided, PRESETS[Quality.FAST], Similarity.MSE)
        labels, reference = (torch.from_numpy(m.array.astype(np.float32))[None, None] for m in (inputs.labels, truth))
        own = affine_positions(pair.grid, inputs.labels.grid, np.eye(4), field)
        moved = warp(sample(labels, own, "nearest", "zeros"), field, "nearest")
        there = sample(reference, affine_positions(pair.grid, truth.grid, np.eye(4), field), "nearest", "zeros")
        overlaps[how] = dice(moved.numpy().astype(int), there.numpy().astype(int))
    assert overlaps[Refinement.JOINT][2] > 0.9 > 0.8 > overlaps[Refinement.IMAGES][2]


def test_merged_structures_pull_as_one(boxes: Path, tmp_path: Path) -> None:
    _, target, atlas, proposal, _ = _known_proposal(boxes, tmp_path, Refinement.JOINT)
    assert proposal.probabilities is not None
    background, *others = proposal.probabilities.split(1, 1)
    together = torch.cat([background, others[0] + others[1]], 1)
    merged = replace(proposal, probabilities=together, structures=proposal.structures[:1], values=((2, 5),))
    pair = pair_on(working_grid(target, 1e6), target, atlas, np.eye(4))
    one, each = merged.guided(pair), proposal.guided(pair)
    for found, parts in ((one.moving_labels, each.moving_labels), (one.fixed_labels, each.fixed_labels)):
        assert found is not None
        assert parts is not None
        assert (found.shape[1], parts.shape[1]) == (1, 2)
    moved = (one.moving_labels.float() - each.moving_labels.float().sum(1, keepdim=True)).abs()  # type: ignore[union-attr]
    assert float(moved.max()) <= 1  # bytes are rounded
    assert float(one.moving_labels.max()) == 255  # type: ignore[union-attr]


def test_structures_that_pull_cost_memory(boxes: Path, tmp_path: Path) -> None:
    _, target, _, joint, _ = _known_proposal(boxes, tmp_path, Refinement.JOINT)
    images = replace(joint, use=Use(Refinement.IMAGES, False, ""))
    assert (joint.soft_labels, images.soft_labels) == (2, 0)
    assert joint.held_bytes == 4 * (3 + 3) * np.prod(joint.grid.size)
    voxels = np.prod(working_grid(target, 1e9).size)
    short = Budget(float(voxels) * PER_WORKING_VOXEL, 0.0, weighted=False)
    sizes = [replace(short, soft_labels=n).working_grid(target, 1e9, Similarity.LNCC).size for n in (0, 40)]
    assert np.prod(sizes[1]) < np.prod(sizes[0]) == voxels


def test_fusing_heals_labels_where_the_model_is_sure_and_keeps_them_elsewhere(boxes: Path, tmp_path: Path) -> None:
    inputs, _, _, proposal, truth = _known_proposal(boxes, tmp_path, Refinement.NONE)
    at_rest = np.zeros((*inputs.target.grid.shape, 3), np.float32)
    carried = propagate(inputs, at_rest)
    fused = fuse(inputs, at_rest, carried, proposal)
    before, after = (dice(labels.array, truth.array) for labels in (carried.labels, fused.labels))
    assert after[2] > before[2] + 0.1
    assert fused.confidence is not None
    disputed = carried.labels.array != truth.array
    assert fused.confidence[disputed].mean() < fused.confidence[~disputed].mean() - 0.1
    right = slice(SEEN + 1, None)  # the model knows nothing of it
    assert np.mean(fused.labels.array[..., right] != carried.labels.array[..., right]) < 0.03


def test_a_structure_is_looked_for_wherever_the_field_can_have_put_it(
    boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, _, _, proposal, _ = _known_proposal(boxes, tmp_path, Refinement.NONE)
    grid = inputs.target.grid
    field = to_lps(smooth_field(grid.shape, 5.0, dtype=torch.float32) + 2.0, grid)
    carried = propagate(inputs, field)
    found = fuse(inputs, field, carried, proposal)
    everywhere = tuple(slice(None) for _ in range(3))
    monkeypatch.setattr("JointRegSegLib.pipeline.fuse.landings", lambda _, boxes: [everywhere] * len(boxes))
    whole = fuse(inputs, field, carried, proposal)
    assert np.array_equal(found.labels.array, whole.labels.array)
    assert found.confidence is not None
    assert whole.confidence is not None
    assert np.allclose(found.confidence, whole.confidence, atol=1e-6)


def test_a_scan_of_another_size_spacing_and_axis_order(trained: Trained, boxes: Path, tmp_path: Path) -> None:
    """The same anatomy on finer, anisotropic voxels in another order gives nearly the same labels."""
    target = read_volume(boxes / "05_mr.nii.gz")
    shape = (41, 33, 27)
    spacing = tuple((n * s) / m for n, s, m in zip(target.grid.size, target.grid.spacing, shape, strict=True))
    axes = np.reshape(target.grid.direction, (3, 3))
    origin = target.grid.centre - axes @ (np.asarray(spacing) * (np.asarray(shape) - 1) / 2)
    fine = Grid(shape, spacing, tuple(origin.tolist()), target.grid.direction)
    place = sitk.Transform()
    image = sitk.Resample(sitk.ReadImage(str(boxes / "05_mr.nii.gz")), fine.empty_image(), place, sitk.sitkLinear)
    labels = sitk.Resample(
        sitk.ReadImage(str(boxes / "05_labels.nii.gz")), fine.empty_image(), place, sitk.sitkNearestNeighbor
    )
    turned = sitk.PermuteAxes(image, (2, 0, 1))
    sitk.WriteImage(turned, str(tmp_path / "turned.nii.gz"))
    told = run_quietly(_request(boxes, trained.model, tmp_path / "out", target=tmp_path / "turned.nii.gz"))
    found = sitk.ReadImage(str(told.result.path(LABELS)))
    assert found.GetSize() == turned.GetSize()
    back = sitk.Resample(found, fine.empty_image(), place, sitk.sitkNearestNeighbor)
    assert mean_dice(sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(labels).astype(np.uint16)) > 0.75


def test_models_that_cannot_be_used(trained: Trained, boxes: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    weights, card = load_package(trained.model)
    (inputs / "text.safetensors").write_text("no model")
    save_package(inputs / "other.safetensors", weights, replace(card, method="jrss"))
    save_package(inputs / "scale.safetensors", weights, replace(card, intensity="minmax"))
    save_package(inputs / "small.safetensors", weights, replace(card, size=(8, 8, 8)))
    save_package(inputs / "few.safetensors", weights, replace(card, structures=card.structures[:1]))
    renamed = (replace(card.structures[0], name="spleen"), card.structures[1])
    save_package(inputs / "named.safetensors", weights, replace(card, structures=renamed))
    moved = (replace(card.structures[0], value=9, values=(9,)), card.structures[1])
    save_package(inputs / "moved.safetensors", weights, replace(card, structures=moved))
    cases = [
        ("none", Code.MODEL_MISSING, ["none.safetensors"]),
        ("text", Code.MODEL_INVALID, ["text.safetensors"]),
        ("other", Code.MODEL_UNFIT, ["jrss", "deepatlas"]),
        ("scale", Code.MODEL_UNFIT, ["zscore", "minmax"]),
        ("small", Code.MODEL_UNFIT, ["12 x 12 x 12 mm"]),
        ("few", Code.MODEL_UNFIT, ["few.safetensors"]),
        ("named", Code.MODEL_UNFIT, ["2 is left box in the atlas and spleen in the model"]),
        ("moved", Code.MODEL_UNFIT, ["does not know 2 left box"]),
    ]
    for name, code, words in cases:
        refused(_request(boxes, inputs / f"{name}.safetensors", tmp_path / "made" / "out"), code, *words)


def test_requests_of_a_method_and_its_model_belong_together(boxes: Path, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        _request(boxes, None, tmp_path / "out")
    assert caught.value.code is Code.MODEL_MISSING
    with pytest.raises(JobError) as caught:
        _request(boxes, tmp_path / "model", tmp_path / "out", method="optimisation")
    assert caught.value.code is Code.REQUEST_INVALID
    request = _request(boxes, tmp_path / "model", tmp_path / "out", refinement=Refinement.IMAGES)
    assert Request.from_json(request.to_json()) == request


def test_the_shell_takes_the_method_from_the_model(trained: Trained, boxes: Path, tmp_path: Path) -> None:
    scans = ["--atlas", boxes / "00_mr.nii.gz", "--atlas-labels", boxes / "00_labels.nii.gz"]
    scans += ["--target", boxes / "05_mr.nii.gz", "--output", tmp_path / "out", "--model", trained.model]
    how = ["--refine", "none", "--start", "as-placed", "--device", "cpu", "--threads", "1", "--quiet"]
    assert cli.main(["run", *map(str, scans), *how]) == 0
    assert '"refinement": "none"' in (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")
