"""Images made of label maps: what is drawn, what follows what, and how label maps are laid on one another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from JointRegSegLib import methods
from JointRegSegLib.fields import jacobian_determinant, warp
from JointRegSegLib.job import Code, JobError
from JointRegSegLib.study.train import Training, train
from JointRegSegLib.training.card import load_card
from JointRegSegLib.training.dataset import DataConfig
from JointRegSegLib.training.few_shot import FewShotView
from JointRegSegLib.training.label_maps import affine_between, load_label_maps
from JointRegSegLib.training.subjects import Split, read_label_maps
from JointRegSegLib.training.synthesis import (
    Synthesis,
    deformed,
    draws,
    random_deformation,
    smooth_noise,
    synthesised,
    without,
)
from JointRegSegLib.volumes import Grid, LabelMap, LabelTable, write_label_map
from Testing.engine.method_cases import settings_of
from Testing.engine.model_cases import short_preset, write_boxes
from Testing.engine.tensor_cases import generator, largest
from Testing.engine.volume_cases import check_error

SHAPE = (12, 16, 14)
MM = (1.5, 1.0, 2.0)
FULL: Synthesis = replace(settings_of("synthmorph").synthesis, thickness=6.0)
PLAIN = replace(FULL, deviations=(0.0, 0.0), blur=0.0, thickness=0.0, bias=0.0, gamma=0.0, blank=0.0)


def blocks() -> Tensor:
    """Classes 0 to 3."""
    labels = torch.zeros(1, 1, *SHAPE, dtype=torch.int64)
    labels[..., 2:10, 2:14, 2:12] = 1
    labels[..., 3:8, 3:8, 3:9] = 2
    labels[..., 3:8, 9:13, 3:9] = 3
    return labels


def painted(how: Synthesis, seed: int, labels: Tensor | None = None) -> Tensor:
    return synthesised(blocks() if labels is None else labels, 4, MM, how, generator(seed))


def values_of(image: Tensor, labels: Tensor) -> list[Tensor]:
    return [image[labels == value] for value in range(4)]


def test_the_same_seed_makes_the_same_image_and_another_another() -> None:
    for make in (lambda g: synthesised(blocks(), 4, MM, FULL, g), lambda g: random_deformation(SHAPE, MM, FULL, g)):
        assert torch.equal(make(generator(1)), make(generator(1)))
        assert not torch.allclose(make(generator(1)), make(generator(2)), atol=0.05)


def test_images_lie_between_zero_and_one() -> None:
    for seed in range(5):
        image = painted(FULL, seed)
        assert image.shape == (1, 1, *SHAPE)
        assert (float(image.min()), float(image.max())) == (0.0, 1.0)
        assert bool(torch.isfinite(painted(FULL, seed, torch.zeros_like(blocks()))).all())


def test_a_structure_has_one_intensity_where_nothing_disturbs_it() -> None:
    """And the order of the structures' intensities is anything: no contrast can be learnt by heart."""
    orders = set()
    for seed in range(12):
        values = values_of(painted(PLAIN, seed), blocks())
        assert all(float(found.max() - found.min()) < 1e-6 for found in values)
        assert len({round(float(found[0]), 4) for found in values}) == 4
        orders.add(tuple(np.argsort([float(found[0]) for found in values])))
    assert len(orders) > 6


def test_noise_leaves_the_mean_of_a_structure() -> None:
    """In the units of the means, which the scale to 0..1 hides: found again by two structures without noise."""
    labels = torch.zeros(1, 1, 24, 24, 24, dtype=torch.int64)
    labels[..., 12:, :, :] = 1
    noisy = replace(PLAIN, means=(150.0, 150.0), deviations=(20.0, 20.0), blank=1.0)
    ratios = []
    for seed in range(4):
        image = synthesised(labels, 2, MM, noisy, generator(seed))
        inside = image[labels == 1]
        assert not image[labels == 0].any()
        ratios.append(float(inside.std() / inside.mean()))
    assert ratios == pytest.approx([20.0 / 150.0] * 4, rel=0.05)


def test_the_background_is_blank_as_often_as_asked() -> None:
    blank = [not painted(replace(FULL, blank=0.5, blur=0.0, thickness=0.0), s)[blocks() == 0].any() for s in range(60)]
    assert 18 <= sum(blank) <= 42
    assert [draws(share, generator(1)) for share in (0.0, 1.0)] == [False, True]


def test_the_image_follows_the_labels_when_they_are_deformed() -> None:
    """Painting deformed labels is deforming the painted ones."""
    labels = blocks()
    moved = deformed(labels, MM, FULL, generator(3))
    field = random_deformation(SHAPE, MM, FULL, generator(3))
    assert (moved != labels).any()
    assert moved.dtype == labels.dtype
    assert torch.equal(painted(PLAIN, 5, moved), warp(painted(PLAIN, 5), field, "nearest"))


def test_deformations_do_not_fold_and_are_in_millimetres() -> None:
    strong = replace(FULL, warp=6.0, warp_scales=(16.0, 32.0))
    fields = [random_deformation((20, 20, 20), (2.0, 2.0, 2.0), strong, generator(seed)) for seed in range(3)]
    assert all(float(jacobian_determinant(field).min()) > 0 for field in fields)
    assert all(largest(field) > 1.0 for field in fields)
    # The same nodes over the same millimetres on a finer grid: as far in mm.
    coarse = random_deformation((9, 9, 9), (4.0, 4.0, 4.0), strong, generator(8)) * 4.0
    fine = random_deformation((17, 17, 17), (2.0, 2.0, 2.0), strong, generator(8)) * 2.0
    assert largest(fine[..., ::2, ::2, ::2] - coarse) < 0.15 * largest(coarse)
    assert not random_deformation(SHAPE, MM, replace(FULL, warp=0.0), generator(0)).any()


def test_smooth_noise_is_linear_between_its_nodes() -> None:
    found = smooth_noise((9, 9, 9), (1.0, 1.0, 1.0), 8.0, 2, generator(0))
    assert found.shape == (1, 2, 9, 9, 9)
    assert float(found.diff(n=2, dim=2).abs().max()) < 1e-5
    assert float(found.abs().max()) > 0.1


@pytest.mark.parametrize("change", [{"blur": 2.0}, {"thickness": 8.0}])
def test_blur_and_thick_slices_smooth(change: dict[str, float]) -> None:
    """Neighbours come closer, and the grid stays."""
    rough = replace(PLAIN, deviations=(25.0, 25.0), means=(100.0, 100.0))

    def roughness(how: Synthesis, seed: int) -> float:
        image = painted(how, seed)
        return float(sum(image.diff(dim=axis).abs().mean() for axis in (2, 3, 4)) / image.std())

    plain, smooth = ([roughness(how, seed) for seed in range(8)] for how in (rough, replace(rough, **change)))
    assert sum(smooth) < 0.9 * sum(plain)


def test_a_bias_field_changes_a_structure_slowly() -> None:
    image = painted(replace(PLAIN, bias=1.0, bias_scale=40.0), 2)
    inside = image[blocks() == 1]
    assert float(inside.max() - inside.min()) > 0.02
    assert float(image[0, 0, 9, 2:14, 2:12].diff(n=2, dim=0).abs().max()) < 0.02


def test_what_is_stripped_becomes_background() -> None:
    labels = without(blocks(), {1, 3})
    assert labels.unique().tolist() == [0, 2]
    assert torch.equal(labels == 2, blocks() == 2)
    assert torch.equal(without(blocks(), set()), blocks())


def test_structures_are_brought_together_by_an_affine_map() -> None:
    random = np.random.default_rng(0)
    matrix = np.eye(4)
    matrix[:3] += np.hstack([0.2 * random.standard_normal((3, 3)), 50 * random.standard_normal((3, 1))])
    points = {n: np.append(40 * random.standard_normal(3) + 300, 100 + n) for n in range(1, 9)}
    moved = {n: np.append(matrix[:3, :3] @ p[:3] + matrix[:3, 3], p[3]) for n, p in points.items()}
    np.testing.assert_allclose(affine_between(points, moved), matrix, atol=1e-8)
    few = {n: moved[n] for n in (1, 2, 3)}
    shift = affine_between({n: points[n] for n in (1, 2, 3)}, few)
    np.testing.assert_array_equal(shift[:3, :3], np.eye(3))
    flat = {n: np.append(p[:2], [7.0, p[3]]) for n, p in points.items()}
    np.testing.assert_array_equal(affine_between(flat, moved)[:3, :3], np.eye(3))


def write_maps(folder: Path, count: int = 4, prefix: str = "map") -> Path:
    """The same two boxes in each, wherever the scanner's origin is; no scan."""
    folder.mkdir(parents=True)
    for number in range(count):
        size = (24 + 4 * number, 20, 22)
        labels = np.zeros(size[::-1], np.uint16)
        labels[5:12, 6:14, 4 + number : 10 + number] = 3
        labels[8:15, 6:14, 12 + number : 18 + number] = 9
        grid = Grid(size, (1.5, 1.5, 1.5), (30.0 * number, -7.0, 11.0))
        write_label_map(folder / f"{prefix}{number}.nii.gz", LabelMap(labels, grid, LabelTable()))
    return folder


def test_label_maps_without_scans_are_read_and_laid_on_one_another(tmp_path: Path) -> None:
    subjects = read_label_maps(write_maps(tmp_path / "maps"))
    assert [(s.id, s.split) for s in subjects] == [
        ("map0", Split.TRAIN),
        ("map1", Split.TRAIN),
        ("map2", Split.VALIDATE),
        ("map3", Split.VALIDATE),
    ]
    data = load_label_maps(FewShotView(subjects, 2), settings_of("synthmorph").data, FULL)
    assert (data.labelled, data.unlabelled, data.validation) == (("map0", "map1"), (), ("map2", "map3"))
    first = data["map0"].label
    assert first is not None
    assert first.unique().tolist() == [0, 1, 2]
    for name in ("map1", "map2", "map3"):
        label = data[name].label
        assert label is not None
        assert torch.equal(label, first)
        assert not torch.allclose(data[name].image, data["map0"].image, atol=0.05)
    again = load_label_maps(FewShotView(subjects, 2), settings_of("synthmorph").data, FULL)
    assert torch.equal(again["map2"].image, data["map2"].image)


def test_where_scans_lie_beside_label_maps_they_are_not_read(tmp_path: Path) -> None:
    data = write_boxes(tmp_path / "boxes")
    found = read_label_maps(data)
    assert [s.id for s in found] == [f"{n:02d}" for n in range(6)]
    assert all(s.image == s.label == data / f"{s.id}_labels.nii.gz" for s in found)
    rows = [
        f"boxes/{n:02d}_labels.nii.gz,boxes/{n:02d}_labels.nii.gz,{s}" for n, s in enumerate(["train"] * 3 + ["val"])
    ]
    (tmp_path / "maps.csv").write_text("image,label,split\n" + "\n".join([*rows, "boxes/05_mr.nii.gz,,train"]) + "\n")
    assert [s.split.value for s in read_label_maps(tmp_path / "maps.csv")] == ["train"] * 3 + ["val"]


def test_too_few_label_maps_or_one_without_the_structures_are_told(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_label_maps(write_maps(tmp_path / "two", 2))
    check_error(caught.value, Code.DATA_INVALID, "2 label maps")
    folder = write_maps(tmp_path / "maps")
    other = LabelMap(np.full((20, 20, 20), 3, np.uint16), Grid((20, 20, 20)), LabelTable())
    write_label_map(folder / "map1.nii.gz", other)
    with pytest.raises(JobError) as caught:
        load_label_maps(FewShotView(read_label_maps(folder), 2), DataConfig(structures={"right": (9,)}), FULL)
    check_error(caught.value, Code.DATA_INVALID, "map1.nii.gz")


def test_a_model_is_trained_from_label_maps_alone(tmp_path: Path) -> None:
    folder = write_maps(tmp_path / "maps")
    preset = short_preset(tmp_path, "synthmorph")
    asked = Training("synthmorph", folder, tmp_path / "out", preset=str(preset), threads=1, licence="free")
    trained = train(asked, lambda event: None, lambda: False)
    card = load_card(trained.model)
    assert (card.method, card.licence, card.training["labelled"]) == ("synthmorph", "free", 2)
    assert set(card.scores) == {"registration"}
    assert trained.model.stat().st_size < 8e6
    assert card.config["synthesis"]["means"] == [25.0, 225.0]
    assert methods.build("synthmorph", card.config, card.classes).capabilities == {"field"}
