"""Writing onto full disks and into folders that do not take files: the right error, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib.job import Code, JobError
from JointRegSegLib.volumes import (
    Grid,
    LabelMap,
    LabelTable,
    write_affine,
    write_field,
    write_label_map,
    write_segmentation,
    write_volume,
)
from Testing.engine.volume_cases import check_error
from Testing.rig.need import need

GRID = Grid((40, 41, 42))
NOISE = np.random.default_rng(0).integers(1, 60000, GRID.shape)
MAP = LabelMap(NOISE.astype(np.uint16), GRID, LabelTable())
VECTORS = np.random.default_rng(0).normal(size=(*GRID.shape, 3))
LIMIT = 50_000

WRITERS: dict[str, Callable[[Path], None]] = {
    "v.nii": lambda path: write_volume(path, NOISE.astype(np.float32), GRID),
    "v.nii.gz": lambda path: write_volume(path, NOISE.astype(np.float64), GRID),
    "v.nrrd": lambda path: write_volume(path, NOISE.astype(np.int16), GRID),
    "v.mha": lambda path: write_volume(path, NOISE.astype(np.int32), GRID),
    "l.nii.gz": lambda path: write_label_map(path, MAP),
    "s.seg.nrrd": lambda path: write_segmentation(path, LabelMap(MAP.array % 200, GRID, LabelTable())),
    "f.nrrd": lambda path: write_field(path, VECTORS, GRID),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_does_not_fit_is_a_full_disk_and_is_removed(tmp_path: Path, name: str) -> None:
    with _little_room(), pytest.raises(JobError) as caught:
        WRITERS[name](tmp_path / name)
    check_error(caught.value, Code.DISK_FULL, name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*WRITERS, "a.tfm"])
def test_a_folder_that_is_not_there_is_unwritable(tmp_path: Path, name: str) -> None:
    path = tmp_path / "nowhere" / name
    with pytest.raises(JobError) as caught:
        WRITERS.get(name, lambda place: write_affine(place, np.eye(4)))(path)
    check_error(caught.value, Code.OUTPUT_UNWRITABLE, path)
    assert not path.parent.exists()


@pytest.mark.parametrize("name", [*WRITERS, "a.tfm"])
def test_a_name_that_a_folder_has_is_unwritable(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(JobError) as caught:
        WRITERS.get(name, lambda place: write_affine(place, np.eye(4)))(tmp_path / name)
    check_error(caught.value, Code.OUTPUT_UNWRITABLE, name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_unknown_extension_is_unwritable_and_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "labels.xyz").write_text("somebody's")
    with pytest.raises(JobError) as caught:
        write_label_map(tmp_path / "labels.xyz", MAP)
    check_error(caught.value, Code.OUTPUT_UNWRITABLE, "labels.xyz")
    assert (tmp_path / "labels.xyz").read_text() == "somebody's"


def test_an_array_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shape"):
        write_volume(tmp_path / "v.nrrd", NOISE[1:], GRID)


@contextmanager
def _little_room() -> Iterator[None]:
    """Let the operating system refuse to make any file longer than LIMIT bytes, as a full disk would."""
    resource = need("resource", "a POSIX system")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
