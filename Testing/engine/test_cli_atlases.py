"""How the shell names one atlas, several, or a library."""

from __future__ import annotations

from pathlib import Path

import pytest

from JointRegSegLib import cli
from JointRegSegLib.commands.atlas_arguments import named_atlases
from JointRegSegLib.job import Atlas, Code, JobError

TWO = ["--atlas", "a.nii", "--atlas-labels", "la.nii", "--atlas", "b.nii", "--atlas-labels", "lb.nii"]


def named(*words: str, landmarks: Path | None = None) -> tuple[Atlas, ...]:
    return named_atlases(cli.parser().parse_args(["run", "--target", "t", "--output", "o", *words]), landmarks)


def test_images_labels_masks_and_names_are_paired_in_their_order() -> None:
    found = named(
        *TWO, "--atlas-mask", "ma.nii", "--atlas-mask", "mb.nii", "--atlas-name", "one", "--atlas-name", "two"
    )
    table = named(*TWO, "--label-table", "t.csv")
    assert found == (
        Atlas(Path("a.nii"), Path("la.nii"), None, Path("ma.nii"), name="one"),
        Atlas(Path("b.nii"), Path("lb.nii"), None, Path("mb.nii"), name="two"),
    )
    assert [atlas.table for atlas in table] == [Path("t.csv")] * 2
    assert [atlas.name for atlas in table] == ["", ""]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no atlas"),
        (["--atlas", "a.nii"], "--atlas 1 times and --atlas-labels 0 times"),
        ([*TWO, "--atlas-labels", "lc.nii"], "--atlas 2 times and --atlas-labels 3 times"),
        ([*TWO, "--atlas-name", "one"], "--atlas-name 1 times"),
        ([*TWO, "--library", "lib"], "--library lib and --atlas, --atlas-labels too"),
        (["--library", "lib", "--label-table", "t.csv"], "--library lib and --label-table too"),
        (["--library", "lib", "--atlas-mask", "m.nii", "--atlas-name", "one"], "and --atlas-name, --atlas-mask too"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(JobError) as caught:
        named(*words)
    assert caught.value.code is Code.REQUEST_INVALID
    assert told in caught.value.message
    assert caught.value.advice


def test_landmarks_belong_to_one_atlas() -> None:
    points = Path("points.mrk.json")
    assert named(*TWO[:4], landmarks=points)[0].landmarks == points
    with pytest.raises(JobError, match="landmarks points"):
        named(*TWO, landmarks=points)
    with pytest.raises(JobError, match="--library lib and --atlas-landmarks too"):
        named("--library", "lib", landmarks=points)


def test_a_library_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        named("--library", str(tmp_path / "none"))
    assert caught.value.code is Code.LIBRARY_MISSING
