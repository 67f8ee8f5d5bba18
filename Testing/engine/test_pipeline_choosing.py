"""Choosing the most similar atlases: at a glance where their library has overviews, by search elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib.job import Atlas, Overview, Request
from JointRegSegLib.library.check import check
from JointRegSegLib.library.create import Plan, create
from JointRegSegLib.library.manifest import Library, read_library
from JointRegSegLib.phantom import PhantomFiles, make_pair, write_pair
from JointRegSegLib.pipeline import choosing
from JointRegSegLib.pipeline.choosing import STARTS, chosen
from JointRegSegLib.pipeline.overviews import make_overviews, read_overview
from JointRegSegLib.pipeline.prepare import read_scan
from JointRegSegLib.pipeline.progress import Progress
from JointRegSegLib.registration import Alignment, affine_spacing, likeness
from JointRegSegLib.volumes import Grid, LabelMap, read_volume, write_label_map, write_volume
from Testing.engine.pipeline_cases import request_for

MOVED = (9.0, -6.0, 4.0)


@pytest.fixture(scope="module")
def made(files: PhantomFiles, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The pair's atlas; the target itself, moved; and another individual."""
    folder = tmp_path_factory.mktemp("choosing")
    scans = folder / "scans"
    scans.mkdir()
    shutil.copyfile(files.atlas, scans / "a.nii.gz")
    shutil.copyfile(files.atlas_labels, scans / "a_labels.nii.gz")
    pair = make_pair(seed=0, size=40)
    grid = pair.target.grid
    there = Grid(grid.size, grid.spacing, tuple(np.add(grid.origin, MOVED)), grid.direction)
    write_volume(scans / "b.nii.gz", pair.target.array, there)
    write_label_map(scans / "b_labels.nii.gz", LabelMap(pair.target_labels.array, there, pair.target_labels.table))
    other = write_pair(folder / "other", seed=3, size=40)
    shutil.copyfile(other.target, scans / "c.nii.gz")
    shutil.copyfile(other.target_labels, scans / "c_labels.nii.gz")
    create(Plan(scans, folder / "library", table=files.table), overviews=make_overviews)
    return read_library(folder / "library")


@pytest.fixture
def library(made: Library, tmp_path: Path) -> Library:
    """One to damage."""
    shutil.copytree(made.folder, tmp_path / "library")
    return read_library(tmp_path / "library")


@dataclass(frozen=True)
class Choice:
    """What was chosen, and what was said."""

    requests: list[Request]
    progress: Progress

    @property
    def names(self) -> list[str]:
        return [request.atlases[0].name for request in self.requests]


def choose(files: PhantomFiles, folder: Path, atlases: tuple[Atlas, ...], most: int = 1, **changes: object) -> Choice:
    requests = [replace(request_for(files, folder / "out"), atlases=(atlas,), **changes) for atlas in atlases]
    progress = Progress(lambda event: None, lambda: False, {"align": 1.0})
    with progress.step("align", ""):
        return Choice(chosen(requests, most, folder, progress), progress)


def without(atlases: tuple[Atlas, ...]) -> tuple[Atlas, ...]:
    return tuple(replace(atlas, overview=None) for atlas in atlases)


def break_images(*atlases: Atlas) -> None:
    for atlas in atlases:
        atlas.image.write_bytes(b"no image")


def known(atlas: Atlas) -> Overview:
    assert atlas.overview is not None
    return atlas.overview


def test_overviews_show_the_members_and_where_they_lie(made: Library) -> None:
    first, second, third = made.atlases
    assert np.array_equal(np.reshape(known(first).affine, (4, 4)), np.eye(4))
    scans = [read_scan(atlas.image) for atlas in made.atlases]
    spacing = affine_spacing(scans[0])
    assert {known(atlas).spacing for atlas in made.atlases} == {spacing}
    for atlas, scan in zip((second, third), scans[1:], strict=True):
        matrix = np.reshape(known(atlas).affine, (4, 4))
        whole = likeness(scans[0], scan, matrix, spacing)
        assert whole > 1.5 * likeness(scans[0], scan, np.eye(4), spacing)
        assert likeness(scans[0], read_overview(known(atlas)), matrix, spacing) == pytest.approx(whole, abs=2e-3)
    assert check(made) == ()


def test_overviews_choose_as_the_search_does_and_leave_the_scans_alone(
    files: PhantomFiles, library: Library, tmp_path: Path
) -> None:
    atlases = library.atlases
    searched = choose(files, tmp_path, without(atlases))
    assert searched.names == ["2"]
    assert len(list(tmp_path.glob(STARTS))) == 3
    break_images(*atlases[1:])
    seen = choose(files, tmp_path, atlases)
    assert seen.names == ["2"]
    assert seen.requests[0].start == "auto"
    assert seen.progress.cautions == []


def test_the_first_asked_need_not_be_the_librarys_first(files: PhantomFiles, library: Library, tmp_path: Path) -> None:
    first, second, third = library.atlases
    break_images(first, second)
    assert choose(files, tmp_path, (third, first, second)).names == ["2"]


def test_a_damaged_overview_is_told_by_check_and_the_scan_read_instead(
    files: PhantomFiles, library: Library, tmp_path: Path
) -> None:
    _, second, third = library.atlases
    known(second).image.write_bytes(b"no image")
    known(third).image.unlink()
    found = {(finding.member, finding.what) for finding in check(library)}
    assert found == {
        ("2", "the overview is not the one that the library was made with"),
        ("3", "its overview is missing"),
    }
    again = read_library(library.folder).atlases
    assert choose(files, tmp_path, again).names == ["2"]
    assert not list(tmp_path.glob(STARTS))
    break_images(second)
    choice = choose(files, tmp_path, again, most=2)
    assert choice.names == ["1", "3"]
    assert [(caution.code, caution.message[:14]) for caution in choice.progress.cautions] == [
        ("atlas-left-out", "2 was left out")
    ]


def test_where_the_first_cannot_be_read_every_affine_is_searched(
    files: PhantomFiles, library: Library, tmp_path: Path
) -> None:
    break_images(library.atlases[0])
    choice = choose(files, tmp_path, library.atlases)
    assert choice.names == ["2"]
    assert Path(choice.requests[0].start).is_file()
    assert ["1 was left out" in caution.message for caution in choice.progress.cautions] == [True]


@pytest.mark.parametrize("partial", [False, True])
def test_parts_of_long_bodies_are_searched_again_by_their_run(
    files: PhantomFiles, made: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partial: bool
) -> None:
    monkeypatch.setattr(choosing, "align_step", lambda *given: Alignment(np.eye(4), "", 0.5, partial))
    choice = choose(files, tmp_path, without(made.atlases))
    assert (choice.requests[0].start == "auto") is partial


def test_from_an_affine_that_fits_badly_no_other_is_composed(
    files: PhantomFiles, made: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {"1": 0.1, "2": 0.2, "3": 0.3}
    monkeypatch.setattr(
        choosing, "align_step", lambda request, *others: Alignment(np.eye(4), "", scores[request.atlases[0].name])
    )
    assert choose(files, tmp_path, made.atlases).names == ["3"]


def test_what_overviews_do_not_show_is_searched(
    files: PhantomFiles, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []

    def search(request: Request, *others: object) -> Alignment:
        searched.append(request.atlases[0].name)
        return Alignment(np.eye(4), "", 0.5)

    monkeypatch.setattr(choosing, "align_step", search)
    first, second, _ = library.atlases
    choose(files, tmp_path, (first, second))
    assert searched == ["1"]
    mask = tmp_path / "mask.nii.gz"
    volume = read_volume(second.image)
    write_volume(mask, np.ones(volume.array.shape, np.uint8), volume.grid)
    elsewhere = replace(known(second), image=tmp_path / known(second).image.name)
    for other in (replace(second, mask=mask), replace(second, overview=None), replace(second, overview=elsewhere)):
        searched.clear()
        choose(files, tmp_path, (first, other))
        assert searched == ["1", "2"]
    searched.clear()
    choose(files, tmp_path, (first, second), start="as-placed")
    assert searched == ["1", "2"]
