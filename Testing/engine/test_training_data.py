"""Subjects, the few-shot view, the common grid: what training sees, and above all what it cannot see."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from JointRegSegLib.fields import shape_of
from JointRegSegLib.job import Code, JobError
from JointRegSegLib.training.curves import read_curves
from JointRegSegLib.training.dataset import DataConfig, load_dataset
from JointRegSegLib.training.few_shot import FewShotView
from JointRegSegLib.training.frame import Frame, scaled
from JointRegSegLib.training.structures import Structures
from JointRegSegLib.training.subjects import Split, Subject, read_subjects, why_none_validates
from JointRegSegLib.training.trainer import CURVES, Trainer, TrainerConfig
from JointRegSegLib.volumes import Grid, Label, LabelMap, LabelTable, Volume, reorient
from Testing.engine.tensor_cases import GEOMETRIES, texture
from Testing.engine.training_cases import SHAPE, Alternating, ToyModel, loaded, write_data
from Testing.engine.volume_cases import check_error, save


def test_a_folder_pairs_scans_with_their_labels(tmp_path: Path) -> None:
    image, label = np.arange(8.0).reshape(2, 2, 2), np.ones((2, 2, 2), np.uint8)
    for name in ("b.nii", "b_2_t1.nii.gz", "c_mr.nrrd", "a_ct.mha", "d.nii"):
        save(tmp_path / name, image, None)
    for name in ("b_labels.nii.gz", "b_2_labels.nrrd", "c_labels.seg.nrrd", "d_labels.nii"):
        save(tmp_path / name, label, None)
    (tmp_path / "labels.csv").write_text("value,name\n1,liver\n")
    found = {s.id: (s.image.name, s.label.name if s.label else None, s.split.value) for s in read_subjects(tmp_path)}
    assert found == {
        "a_ct": ("a_ct.mha", None, "train"),
        "b": ("b.nii", "b_labels.nii.gz", "train"),
        "b_2": ("b_2_t1.nii.gz", "b_2_labels.nrrd", "train"),
        "c": ("c_mr.nrrd", "c_labels.seg.nrrd", "val"),
        "d": ("d.nii", "d_labels.nii", "val"),
    }
    assert list(found) == sorted(found)


def test_a_csv_says_what_each_scan_is_for(tmp_path: Path) -> None:
    write_data(tmp_path / "scans", subjects=4)
    rows = ["scans/02_mr.nii.gz,scans/02_labels.nii.gz,test", "scans/00_mr.nii.gz,,train"]
    rows += ["scans/03_mr.nii.gz,scans/03_labels.nii.gz,val", f"{tmp_path}/scans/01_mr.nii.gz,,"]
    path = tmp_path / "study.csv"
    path.write_text("image,label,split\n" + "\n".join(rows) + "\n")
    subjects = read_subjects(path)
    assert [s.id for s in subjects] == sorted(s.id for s in subjects)
    assert {s.image.name: (s.label is not None, s.split) for s in subjects} == {
        "00_mr.nii.gz": (False, Split.TRAIN),
        "01_mr.nii.gz": (False, Split.TRAIN),
        "02_mr.nii.gz": (True, Split.TEST),
        "03_mr.nii.gz": (True, Split.VALIDATE),
    }
    path.write_text("image,label\n" + "\n".join(row.rsplit(",", 1)[0] for row in rows[:3]) + "\n")
    assert [s.split.value for s in read_subjects(path)] == ["train", "val", "val"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("picture,label\na,b\n", ("column image",)),
        ("image,label\n,\n", ("line 2", "no image")),
        ("image,label\n00_mr.nii.gz,\nnowhere.nii,\n", ("line 3", "nowhere.nii")),
        ("image,label\n00_mr.nii.gz,lost.nii\n", ("line 2", "lost.nii")),
        ("image,label,split\n00_mr.nii.gz,,train\n01_mr.nii.gz,,learn\n", ("line 3", "learn")),
        ("image,label\n00_mr.nii.gz,\n01_mr.nii.gz,\n00_mr.nii.gz,\n", ("00_mr", "twice")),
        ("image,label\n00_mr.nii.gz,\n01_mr.nii.gz,\n", ("2 scans",)),
        ("image,label\n00_mr.nii.gz,\n\n01_mr.nii.gz,,val\n", ("line 4", "more cells")),
    ],
)
def test_a_csv_that_cannot_be_used_names_the_line(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    write_data(tmp_path, subjects=3)
    (tmp_path / "study.csv").write_text(text)
    with pytest.raises(JobError) as caught:
        read_subjects(tmp_path / "study.csv")
    check_error(caught.value, Code.DATA_INVALID, "study.csv", *words)


def test_labels_without_a_scan_or_with_two_are_told(tmp_path: Path) -> None:
    write_data(tmp_path, subjects=4)
    (tmp_path / "01_mr.nii.gz").rename(tmp_path / "00_t1.nii.gz")
    with pytest.raises(JobError) as caught:
        read_subjects(tmp_path)
    check_error(caught.value, Code.DATA_INVALID, "00_mr.nii.gz", "00_t1.nii.gz")
    (tmp_path / "00_t1.nii.gz").unlink()
    with pytest.raises(JobError) as caught:
        read_subjects(tmp_path)
    check_error(caught.value, Code.DATA_INVALID, "01_labels.nii.gz")
    with pytest.raises(JobError) as caught:
        read_subjects(tmp_path / "nowhere")
    check_error(caught.value, Code.FILE_MISSING, "nowhere")


def subjects_of(*splits: Split) -> list[Subject]:
    return [Subject(f"{n}", Path(f"{n}.nii"), Path(f"{n}_labels.nii"), split) for n, split in enumerate(splits)]


def test_a_view_keeps_the_first_labels_and_no_test_subject() -> None:
    subjects = subjects_of(Split.TEST, *[Split.TRAIN] * 4, Split.VALIDATE)
    view = FewShotView(reversed(subjects), 2)
    assert [s.id for s in view.labelled] == ["1", "2"]
    assert [(s.id, s.label) for s in view.unlabelled] == [("3", None), ("4", None)]
    assert [s.id for s in view.validation] == ["5"]


def test_why_no_scan_validates_is_told() -> None:
    subjects = subjects_of(*[Split.TRAIN] * 2, *[Split.VALIDATE] * 2)
    assert why_none_validates(subjects) == ""
    bare = [replace(s, label=None) if s.split is Split.VALIDATE else s for s in subjects]
    assert why_none_validates(bare) == "No scan validates, for want of labels of 2, 3."
    assert why_none_validates([*bare[:3], subjects[3]]) == ""
    many = [replace(bare[3], id=str(number)) for number in range(9)]
    assert why_none_validates(many) == "No scan validates, for want of labels of 0, 1, 2, 3, 4 and 4 more."
    assert why_none_validates(subjects[:2]) == "No scan is for validation."


@pytest.mark.parametrize("labelled", [-1, 5])
def test_a_view_cannot_keep_more_labels_than_there_are(labelled: int) -> None:
    with pytest.raises(JobError) as caught:
        FewShotView(subjects_of(*[Split.TRAIN] * 4), labelled)
    check_error(caught.value, Code.DATA_INVALID, labelled, 4)


def reachable(root: object) -> list[object]:
    """Whatever can be reached from an object through references of its own, modules and classes apart."""
    seen: dict[int, object] = {}
    queue = [root]
    while queue:
        item = queue.pop()
        if id(item) in seen or isinstance(item, type) or type(item).__name__ in {"module", "function"}:
            continue
        seen[id(item)] = item
        queue += gc.get_referents(item)
    return list(seen.values())


def test_no_path_of_a_hidden_label_can_be_reached(tmp_path: Path) -> None:
    data = loaded(write_data(tmp_path))
    view = FewShotView(read_subjects(tmp_path), 2)
    for root in (view, data):
        found = reachable(root)
        names = [item for item in found if isinstance(item, str)] + [p.name for p in found if isinstance(p, Path)]
        assert not [name for name in names if "02_labels" in name or "03_labels" in name]
    assert any("00_labels" in str(item) for item in reachable(view))
    assert sum(isinstance(item, Tensor) for item in reachable(data)) == 6 + 4  # scans, visible labels


def test_poisoned_hidden_labels_change_nothing(tmp_path: Path) -> None:
    """Labels that training must not see are replaced by noise of other values; everything stays, bit for bit."""
    weights, curves, tables = [], [], []
    for name in ("clean", "poisoned"):
        folder = write_data(tmp_path / name)
        if name == "poisoned":
            for hidden in ("02", "03"):
                noise = np.random.default_rng(9).integers(0, 900, SHAPE).astype(np.uint16)
                save(folder / f"{hidden}_labels.nii.gz", noise, Grid(SHAPE[::-1]))
        data, model = loaded(folder), ToyModel(dropout=0.5)
        Trainer(model, Alternating(model, data), data, TrainerConfig(seed=1), tmp_path / f"{name}-run").run()
        weights.append(model.state_dict())
        curves.append(list(read_curves(tmp_path / f"{name}-run" / CURVES)))
        tables.append(data.structures)
    assert curves[0] == curves[1]
    assert list(tables[0].table.values()) == list(tables[1].table.values())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_visible_labels_do_change_the_training(tmp_path: Path) -> None:
    """The poison test's counterpart: it would notice."""
    found = []
    for name in ("clean", "poisoned"):
        folder = write_data(tmp_path / name)
        if name == "poisoned":
            noise = np.random.default_rng(9).choice([0, 4, 8], SHAPE).astype(np.uint16)
            save(folder / "01_labels.nii.gz", noise, Grid(SHAPE[::-1]))
        data, model = loaded(folder), ToyModel()
        Trainer(model, Alternating(model, data), data, TrainerConfig(seed=1), tmp_path / f"{name}-run").run()
        found.append(model.seg[0].weight.detach().clone())
    assert not torch.equal(*found)


def test_only_structures_of_labelled_subjects_become_classes(tmp_path: Path) -> None:
    folder = write_data(tmp_path)
    for other in ("03", "05"):  # a hidden one and one that validates
        save(folder / f"{other}_labels.nii.gz", np.full(SHAPE, 77, np.uint16), Grid(SHAPE[::-1]))
    with pytest.raises(JobError) as caught:
        loaded(folder)
    check_error(caught.value, Code.DATA_INVALID, "05_labels.nii.gz")
    labels = np.full(SHAPE, 77, np.uint16)
    labels[0] = 4
    save(folder / "05_labels.nii.gz", labels, Grid(SHAPE[::-1]))
    data = loaded(folder)
    assert list(data.structures.table) == [4, 8]
    validating = data["05"].label
    assert validating is not None
    assert validating.dtype == torch.int64
    assert validating.unique().tolist() == [0, 1]


def test_structures_are_kept_merged_and_named() -> None:
    table = LabelTable([Label(7, "seven", (1, 2, 3)), Label(2, "two", (4, 5, 6))])
    plain = Structures.of([7, 2, 5], table=table)
    assert [(label.value, label.name) for label in plain.table.values()] == [(2, "two"), (5, "label 5"), (7, "seven")]
    merged = Structures.of([7, 2, 5], {"both": (7, 2), "five": (5,)}, table)
    assert next((x.value, x.name, x.color) for x in merged.table.values()) == (7, "both", (1, 2, 3))
    assert merged.classes == 3
    values = np.array([0, 2, 5, 7, 9])
    assert merged.to_classes(values).tolist() == [0, 1, 2, 1, 0]
    assert merged.to_values(merged.to_classes(values)).tolist() == [0, 7, 5, 7, 0]
    for given in (plain, merged):
        classes = np.arange(given.classes)
        assert given.to_classes(given.to_values(classes)).tolist() == classes.tolist()


def test_scans_come_in_one_axis_order_with_their_labels(tmp_path: Path) -> None:
    """The same head stored in two ways gives the same sample."""
    grid = Grid(SHAPE[::-1], (1.0, 1.2, 2.0), (5.0, -3.0, 8.0))
    for number in range(4):
        image = texture(SHAPE, seed=number)[0, 0].numpy().astype(np.float32)
        volume = Volume(image, grid)
        labels = LabelMap((image > 0.5).astype(np.uint8), grid, LabelTable())
        if number == 1:
            volume = Volume(texture(SHAPE, seed=0)[0, 0].numpy().astype(np.float32), grid)
            labels = LabelMap((volume.array > 0.5).astype(np.uint8), grid, LabelTable())
            volume = reorient(volume, (2, 0, 1), (True, False, True))
            labels = reorient(labels, (1, 2, 0), (False, True, True))
        save(tmp_path / f"{number}_t1.nii.gz", volume.array, volume.grid)
        save(tmp_path / f"{number}_labels.nii.gz", labels.array, labels.grid)
    data = loaded(tmp_path)
    a, b = data["0"], data["1"]
    assert data.frame.size == SHAPE[::-1]
    assert data.frame.spacing == pytest.approx(grid.spacing)
    assert torch.equal(a.image, b.image)
    assert a.label is not None
    assert b.label is not None
    assert torch.equal(a.label, b.label)
    assert a.label.unique().tolist() == [0, 1]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_frame_shows_the_same_place_at_any_spacing(name: str) -> None:
    """An image that is linear in space is met exactly wherever the frame's voxels lie in it."""
    own = GEOMETRIES[name]
    slope, points = np.array([0.3, -0.5, 0.2]), np.stack(np.meshgrid(*map(np.arange, own.size), indexing="ij"), -1)
    array = (own.to_lps(points) @ slope).transpose(2, 1, 0).astype(np.float32)
    frame = Frame((8, 9, 7), (1.4, 1.1, 1.3), "zscore")
    image, grid = frame.image(Volume(array, own))
    assert shape_of(image) == (7, 9, 8)
    assert grid.spacing == frame.spacing
    assert all(np.diag(np.reshape(grid.direction, (3, 3))) > 0.5)  # left, posterior, superior
    np.testing.assert_allclose(grid.centre, own.centre, atol=1e-6)
    voxels = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), -1)
    wanted = ((grid.to_lps(voxels) @ slope).transpose(2, 1, 0) - array.mean()) / array.std()
    inner = np.all(
        (own.to_index(grid.to_lps(voxels)) > 1) & (own.to_index(grid.to_lps(voxels)) < np.array(own.size) - 2), -1
    )
    inner = inner.transpose(2, 1, 0)
    assert inner.sum() > 50
    np.testing.assert_allclose(image[0, 0].numpy()[inner], wanted[inner], atol=2e-2)


def test_a_frame_of_scans_holds_them_all() -> None:
    grids = [Grid((10, 20, 30), (1.0, 1.0, 2.0)), Grid((30, 8, 10), (1.0, 1.0, 2.0)), Grid((5, 5, 5), (1.0, 3.0, 2.0))]
    assert Frame.of(grids, "minmax") == Frame((30, 20, 30), (1.0, 1.0, 2.0), "minmax")
    assert Frame.of(grids, "minmax", spacing=(2.0, 2.0, 2.0)) == Frame((15, 10, 30), (2.0, 2.0, 2.0), "minmax")
    assert Frame.of(grids, "minmax", (4, 5, 6)) == Frame((4, 5, 6), (1.0, 1.0, 2.0), "minmax")


def test_a_wider_spacing_does_not_alias() -> None:
    """A checkerboard of single voxels is grey at a third of the resolution."""
    size = (24, 24, 24)
    board = (np.indices(size).sum(0) % 2).astype(np.float32)
    image, _ = Frame((6, 6, 6), (3.0, 3.0, 3.0), "minmax").image(Volume(board, Grid(size)))
    assert float((image - 0.5).abs().max()) < 0.1


def test_intensities_are_scaled_as_named() -> None:
    array = np.random.default_rng(0).normal(50, 9, (20, 20, 20)).astype(np.float32)
    array[0, 0, 0] = 1e6
    plain = scaled(array, "minmax")
    assert plain.min() == 0
    assert plain.max() == 1
    assert 0.3 < np.median(plain) < 0.7  # one voxel of metal does not decide the scale
    assert scaled(array[1:], "zscore").mean() == pytest.approx(0, abs=1e-5)
    assert scaled(array[1:], "zscore").std() == pytest.approx(1, abs=1e-5)
    few = np.zeros((20, 20, 20), np.float32)
    few[0, 0, 0] = 5
    assert scaled(few, "minmax").max() == 1
    with pytest.raises(ValueError, match="log"):
        scaled(array, "log")


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (1, 2)},
        {"spacing": (1.0, 1.0)},
        {"structures": {"liver": ()}},
        {"structures": {"liver": (0, 1)}},
        {"structures": {"liver": (70000,)}},
        {"structures": {"spleen": (1, 2), "liver": (2,)}},
    ],
)
def test_settings_out_of_range_are_told(wrong: dict) -> None:
    with pytest.raises(JobError) as caught:
        DataConfig(**wrong)
    check_error(caught.value, Code.REQUEST_INVALID, "liver" if "structures" in wrong else next(iter(wrong)))


def test_reading_tells_its_progress(tmp_path: Path) -> None:
    view = FewShotView(read_subjects(write_data(tmp_path)), 1)
    told: list[float] = []
    load_dataset(view, DataConfig(), "minmax", report=lambda fraction, message: told.append(fraction))
    assert told == [n / 6 for n in range(6)]
