"""Fields and affines as files, with SimpleITK as the oracle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import read_affine, read_field, write_affine, write_field
from Testing.engine.volume_cases import GRID, check_error, save

VECTORS = np.random.default_rng(3).normal(size=(*GRID.shape, 3)).astype(np.float32)
MATRIX = np.array([[0.9, -0.2, 0.1, 12.0], [0.3, 1.1, 0.0, -7.5], [0.0, 0.1, 0.8, 40.0], [0.0, 0.0, 0.0, 1.0]])


def test_a_field_comes_back_and_moves_points_in_simpleitk(tmp_path: Path) -> None:
    write_field(tmp_path / "f.nrrd", VECTORS, GRID)
    vectors, grid = read_field(tmp_path / "f.nrrd")
    assert np.array_equal(vectors, VECTORS)
    assert grid.same_as(GRID, 1e-9)
    image = sitk.ReadImage(str(tmp_path / "f.nrrd"), sitk.sitkVectorFloat64)
    assert image.GetMetaData("displacement field type") == "resampling"
    assert image.GetMetaData("intent_code") == "1006"
    transform = sitk.DisplacementFieldTransform(image)
    for k, j, i in [(0, 0, 0), (1, 2, 3), (4, 5, 6)]:
        point = GRID.to_lps((i, j, k))
        assert transform.TransformPoint(point.tolist()) == pytest.approx(point + VECTORS[k, j, i], abs=1e-5)


def test_a_field_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_field(tmp_path / "f.nrrd", VECTORS[..., :2], GRID)
    with pytest.raises(ValueError, match="shape"):
        write_field(tmp_path / "f.nrrd", VECTORS[1:], GRID)


@pytest.mark.parametrize("extension", [".nii.gz", ".mha"])
def test_fields_of_other_formats_are_read(tmp_path: Path, extension: str) -> None:
    vectors, grid = read_field(save(tmp_path / f"f{extension}", VECTORS, vectors=True))
    assert np.array_equal(vectors, VECTORS)
    assert grid.same_as(GRID, 1e-5)


def test_what_is_no_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_field(save(tmp_path / "scan.nrrd", VECTORS[..., 0]))
    check_error(caught.value, Code.FILE_UNREADABLE, "1 values per voxel")
    header = {"displacement field type": "modeling"}
    with pytest.raises(JobError) as caught:
        read_field(save(tmp_path / "to_parent.nrrd", VECTORS, vectors=True, **header))
    check_error(caught.value, Code.FILE_UNREADABLE, "not of the target")
    broken = VECTORS.copy()
    broken[1, 2, 3, 0] = np.nan
    with pytest.raises(JobError) as caught:
        read_field(save(tmp_path / "nan.nrrd", broken, vectors=True))
    check_error(caught.value, Code.NOT_FINITE, "1 value")


def test_an_affine_comes_back_and_moves_points_in_simpleitk(tmp_path: Path) -> None:
    write_affine(tmp_path / "a.tfm", MATRIX)
    assert read_affine(tmp_path / "a.tfm") == pytest.approx(MATRIX, abs=1e-12)
    point = np.array([3.0, -4.0, 5.0])
    moved = sitk.ReadTransform(str(tmp_path / "a.tfm")).TransformPoint(point.tolist())
    assert moved == pytest.approx(MATRIX[:3, :3] @ point + MATRIX[:3, 3], abs=1e-9)


# ITK's .mat files hold single transforms.
KINDS = ("affine", "euler", "versor", "similarity", "translation", "composite")
FILES = (".tfm", ".txt", ".mat", ".h5")
LINEAR = [(kind, file) for kind in KINDS for file in FILES if (kind, file) != ("composite", ".mat")]


@pytest.mark.parametrize(("kind", "extension"), LINEAR)
def test_any_linear_transform_is_read(tmp_path: Path, kind: str, extension: str) -> None:
    euler = sitk.Euler3DTransform((5.0, 6.0, 7.0), 0.1, -0.4, 0.3, (1.0, 2.0, 3.0))
    affine = sitk.AffineTransform([0.9, 0.1, 0, 0, 1.2, 0, 0.3, 0, 1], (1.0, -2.0, 3.0), (10.0, 0.0, -5.0))
    transform = {
        "affine": affine,
        "euler": euler,
        "versor": sitk.VersorRigid3DTransform((0.0, 0.0, 1.0), 0.5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        "similarity": sitk.Similarity3DTransform(1.2, (1.0, 0.0, 0.0), 0.4, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        "translation": sitk.TranslationTransform(3, (4.0, -5.0, 6.0)),
        "composite": sitk.CompositeTransform([euler, affine]),
    }[kind]
    sitk.WriteTransform(transform, str(tmp_path / f"a{extension}"))
    matrix = read_affine(tmp_path / f"a{extension}")
    for point in np.random.default_rng(0).normal(scale=100, size=(5, 3)):
        expected = transform.TransformPoint(point.tolist())
        assert matrix[:3, :3] @ point + matrix[:3, 3] == pytest.approx(expected, abs=1e-4)


def test_transforms_that_are_no_start_are_refused(tmp_path: Path) -> None:
    field = sitk.DisplacementFieldTransform(sitk.Image([4, 4, 4], sitk.sitkVectorFloat64, 3))
    singular = sitk.AffineTransform([1, 0, 0, 0, 1, 0, 0, 0, 1e-9], (0.0, 0.0, 0.0))
    planar = sitk.Euler2DTransform((0.0, 0.0), 0.1)
    mixed = sitk.CompositeTransform([sitk.TranslationTransform(3, (1.0, 2.0, 3.0)), field])
    cases = [(field, "not linear"), (mixed, "not linear"), (singular, "not invertible"), (planar, "2-D")]
    for number, (transform, words) in enumerate(cases):
        path = tmp_path / f"{number}.tfm"
        sitk.WriteTransform(transform, str(path))
        with pytest.raises(JobError) as caught:
            read_affine(path)
        check_error(caught.value, Code.START_INVALID, words, path)


def test_files_that_are_no_transforms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        read_affine(tmp_path / "a.tfm")
    check_error(caught.value, Code.FILE_MISSING, "a.tfm")
    (tmp_path / "a.tfm").write_text("hello")
    with pytest.raises(JobError) as caught:
        read_affine(tmp_path / "a.tfm")
    check_error(caught.value, Code.FILE_UNREADABLE, "a.tfm")
