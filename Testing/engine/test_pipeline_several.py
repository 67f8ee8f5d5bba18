"""Runs with several atlases: the fused labels, what is kept of each atlas, and atlases that fail."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib.job import Atlas, Code, Event, Fusion, JobError, Kind, Request
from JointRegSegLib.job.result import ATLASES, CONFIDENCE, FILES, REVIEW
from JointRegSegLib.phantom import PhantomFiles, write_pair
from JointRegSegLib.pipeline import run, several, side_by_side
from JointRegSegLib.pipeline.side_by_side import Shared, shared
from JointRegSegLib.volumes import read_field, read_label_map, read_volume
from Testing.engine.pipeline_cases import Told, mean_dice, refused, request_for, run_quietly


@pytest.fixture(scope="module")
def atlases(files: PhantomFiles, tmp_path_factory: pytest.TempPathFactory) -> tuple[Atlas, ...]:
    """Three individuals; the first is that of the usual pair."""
    folder = tmp_path_factory.mktemp("others")
    every = [files, *(write_pair(folder / str(seed), seed=seed, size=40) for seed in (1, 2))]
    return tuple(Atlas(one.atlas, one.atlas_labels, one.table, name=f"A{n}") for n, one in enumerate(every, 1))


def with_atlases(files: PhantomFiles, output: Path, atlases: tuple[Atlas, ...], **changes: object) -> Request:
    return replace(request_for(files, output), atlases=atlases, **changes)


@pytest.fixture(scope="module")
def several_told(files: PhantomFiles, atlases: tuple[Atlas, ...], tmp_path_factory: pytest.TempPathFactory) -> Told:
    return run_quietly(with_atlases(files, tmp_path_factory.mktemp("several") / "out", atlases))


def test_fused_labels_are_better_than_those_of_the_atlases(several_told: Told, files: PhantomFiles) -> None:
    truth = read_label_map(files.target_labels).array
    folder = several_told.result.folder
    each = [mean_dice(read_label_map(one / "labels.nii.gz").array, truth) for one in (folder / ATLASES).iterdir()]
    fused = mean_dice(read_label_map(folder / "labels.nii.gz").array, truth)
    assert len(each) == 3
    assert fused > max(each)


def test_the_result_is_whole_and_says_how_it_was_made(several_told: Told, files: PhantomFiles) -> None:
    folder, target = several_told.result.folder, read_volume(files.target).grid
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, CONFIDENCE, REVIEW, ATLASES])
    kept = {path.name for path in (folder / ATLASES / "02").iterdir()}
    assert kept == {
        "labels.nii.gz",
        "warped_atlas.nii.gz",
        "affine.tfm",
        "quality.json",
        "quality.csv",
        "manifest.json",
    }
    facts = several_told.result.manifest
    assert facts["atlases"] == ["A1", "A2", "A3"]
    assert facts["most_alike"] in facts["atlases"]
    _, grid = read_field(folder / "field.nrrd")
    assert grid.same_as(target)
    fractions = [event.fraction for event in several_told.events if event.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_the_top_level_field_is_that_of_the_atlas_most_like_the_fused_labels(several_told: Told) -> None:
    folder, facts = several_told.result.folder, several_told.result.manifest
    own = folder / facts["atlas_folders"][facts["most_alike"]]
    assert (own / "affine.tfm").read_bytes() == (folder / "affine.tfm").read_bytes()
    fused = read_label_map(folder / "labels.nii.gz").array
    alike = {
        name: float(np.mean(read_label_map(folder / place / "labels.nii.gz").array == fused))
        for name, place in facts["atlas_folders"].items()
    }
    assert facts["most_alike"] == max(alike, key=lambda name: alike[name])


def test_confidence_and_review_belong_together(several_told: Told) -> None:
    folder, quality = several_told.result.folder, several_told.result.quality
    confidence, labels = read_volume(folder / CONFIDENCE).array, read_label_map(folder / "labels.nii.gz").array
    review = read_volume(folder / REVIEW).array
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    marked = review > 0
    assert np.array_equal(review[marked], labels[marked])
    assert confidence[marked].max() <= 0.5
    assert quality.measure("review_percent") == pytest.approx(100 * marked.sum() / (labels > 0).sum())
    for volume in quality.labels:
        assert volume.confidence == pytest.approx(confidence[labels == volume.value].mean(), abs=0.01)


def test_an_atlas_that_fails_is_left_out(files: PhantomFiles, atlases: tuple[Atlas, ...], tmp_path: Path) -> None:
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    bad = Atlas(broken, atlases[0].labels)
    told = run_quietly(with_atlases(files, tmp_path / "out", (atlases[0], bad, atlases[1])))
    assert "atlas 2 was left out" in told.cautions["atlas-left-out"]
    assert told.result.manifest["atlases"] == ["A1", "A2"]
    assert {path.name for path in (told.result.folder / ATLASES).iterdir()} == {"01", "03"}
    assert [caution.code for caution in told.result.quality.cautions].count("atlas-left-out") == 1
    refused(with_atlases(files, tmp_path / "none", (bad, replace(bad, name="other"))), Code.FILE_UNREADABLE, "No atlas")


def test_the_most_alike_atlas_alone_is_registered(
    files: PhantomFiles, atlases: tuple[Atlas, ...], tmp_path: Path
) -> None:
    nothing_alike = tmp_path / "shifted.nii.gz"
    import SimpleITK as sitk

    image = sitk.ReadImage(str(atlases[1].image))
    noise = np.random.default_rng(0).normal(size=image.GetSize()[::-1]).astype(np.float32)
    other = sitk.GetImageFromArray(noise)
    other.CopyInformation(image)
    sitk.WriteImage(other, str(nothing_alike))
    chosen = (replace(atlases[1], image=nothing_alike, name="noise"), atlases[0], atlases[2])
    told = run_quietly(with_atlases(files, tmp_path / "out", chosen, most_atlases=2))
    assert told.result.manifest["atlases"] == ["A1", "A3"]
    assert not list(told.result.folder.glob("start*"))


def test_processes_side_by_side_give_the_same_labels(
    several_told: Told,
    files: PhantomFiles,
    atlases: tuple[Atlas, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(several, "shared", lambda request, on_cpu, voxels: Shared(2, 1, None))
    broken = Atlas(tmp_path / "absent.nii.gz", atlases[0].labels)
    told = run_quietly(with_atlases(files, tmp_path / "out", (*atlases, broken)))
    assert "atlas 4 was left out" in told.cautions["atlas-left-out"]
    mine, theirs = (read_label_map(one.result.folder / "labels.nii.gz").array for one in (told, several_told))
    assert np.array_equal(mine, theirs)


def test_a_cancel_ends_all_processes_and_leaves_nothing(
    files: PhantomFiles, atlases: tuple[Atlas, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(several, "shared", lambda request, on_cpu, voxels: Shared(2, 1, None))
    output, heard = tmp_path / "out", []

    def hear(event: Event) -> None:
        heard.append(time.monotonic()) if event.kind is Kind.LOG else None

    with pytest.raises(JobError) as caught:
        run(with_atlases(files, output, atlases), hear, lambda: bool(heard))
    assert caught.value.code is Code.CANCELLED
    assert not list(tmp_path.iterdir())


def test_what_belongs_to_one_atlas_is_refused_with_several(
    files: PhantomFiles, atlases: tuple[Atlas, ...], tmp_path: Path
) -> None:
    for changes in ({"start": "a.tfm"}, {"continue_from": tmp_path}, {"most_atlases": 0}):
        with pytest.raises(JobError) as caught:
            with_atlases(files, tmp_path / "out", atlases, **changes)
        assert caught.value.code is Code.REQUEST_INVALID
        assert str(next(iter(changes.values()))) in caught.value.message
    with pytest.raises(JobError, match="no atlas"):
        with_atlases(files, tmp_path / "out", ())


def test_the_request_survives_its_json(files: PhantomFiles, atlases: tuple[Atlas, ...], tmp_path: Path) -> None:
    request = with_atlases(files, tmp_path / "out", atlases, fusion=Fusion.JOINT, most_atlases=2)
    assert Request.from_json(request.to_json()) == request


def test_the_machine_is_shared_fairly(
    files: PhantomFiles, atlases: tuple[Atlas, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "free_memory", lambda: 10e9)
    request = with_atlases(files, tmp_path / "out", atlases, threads=8)
    assert shared(request, True, 1_000_000) == Shared(3, 2, pytest.approx(8 / 3))
    # 0.355 GB, and 65 bytes for each voxel of target and atlas: 5.6 GB, so that one fits into the 8 that may be used.
    assert shared(request, True, 40_000_000) == Shared(1, 8, None)
    assert shared(replace(request, memory_gb=0.5), True, 1_000_000) == Shared(1, 8, 0.5)
    assert shared(request, False, 1_000_000).workers == 1
    assert shared(replace(request, threads=1), True, 1_000_000) == Shared(1, 1, None)
