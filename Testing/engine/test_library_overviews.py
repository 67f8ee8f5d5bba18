"""Overviews in a library's manifest, in a request, and in the commands that make and show them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

from JointRegSegLib import cli
from JointRegSegLib.job import Atlas, Code, JobError, Overview, Request
from JointRegSegLib.library.check import check
from JointRegSegLib.library.create import Plan, Told, create
from JointRegSegLib.library.manifest import (
    MANIFEST,
    OVERVIEWS,
    Member,
    MemberOverview,
    Overviews,
    overviews_beside,
    read_library,
)
from JointRegSegLib.service import torch_state
from Testing.engine.library_cases import a_library, write_scans, write_table

AFFINE = (1.0, 0.0, 0.1, 2.0, 0.0, 1.0, 0.0, 3.0, -0.1, 0.0, 1.0, 4.0, 0.0, 0.0, 0.0, 1.0)


def some(folder: Path, members: Sequence[Member], told: Told) -> Overviews:
    """Overviews that name the members' own images."""
    return Overviews(4.0, tuple(MemberOverview(member.image, member.image_sha256, AFFINE) for member in members))


def rewrite(folder: Path, **changes: Any) -> None:
    """Change what the manifest says of the overviews."""
    fields = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    fields["overviews"].update(changes)
    (folder / MANIFEST).write_text(json.dumps(fields), encoding="utf-8")


def test_a_library_without_overviews_is_as_it_was(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    assert "overviews" not in json.loads((library.folder / MANIFEST).read_text(encoding="utf-8"))
    assert [atlas.overview for atlas in library.atlases] == [None] * 3


def test_overviews_come_back_and_belong_to_the_digest(tmp_path: Path) -> None:
    plain = a_library(tmp_path)
    create(Plan(tmp_path / "scans", tmp_path / "seen", table=tmp_path / "names.csv", name="library"), overviews=some)
    create(Plan(tmp_path / "scans", tmp_path / "plain", table=tmp_path / "names.csv", name="library"))
    seen = read_library(tmp_path / "seen")
    assert [atlas.overview for atlas in seen.atlases] == [Overview(atlas.image, AFFINE, 4.0) for atlas in seen.atlases]
    assert seen.digest != plain.digest
    # Those of another version are as good as none.
    rewrite(seen.folder, format=0)
    ignoring = read_library(seen.folder)
    assert [atlas.overview for atlas in ignoring.atlases] == [None] * 3
    assert ignoring.digest == read_library(tmp_path / "plain").digest
    assert check(ignoring) == ()


def test_a_scan_finds_what_its_library_knows_of_it(tmp_path: Path) -> None:
    create(Plan(write_scans(tmp_path / "scans", 2), tmp_path / "seen"), overviews=some)
    images = tmp_path / "seen" / "images"
    atlases = read_library(tmp_path / "seen").atlases
    assert None not in [atlas.overview for atlas in atlases]
    assert overviews_beside(images) == {atlas.image: atlas.overview for atlas in atlases}
    assert overviews_beside(tmp_path / "scans") == {}
    for spacing in (0.0, 10**400):
        rewrite(tmp_path / "seen", spacing=spacing)
        assert overviews_beside(images) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"members": []},
        {"members": [{"image": "../0001.nii.gz", "image_sha256": "", "affine": AFFINE}]},
        {"members": [{"image": "images/0001.nii.gz", "image_sha256": "", "affine": AFFINE[:12]}]},
        {"members": [{"image": "images/0001.nii.gz", "image_sha256": "", "affine": (0.0,) * 15 + (1.0,)}]},
        {"members": [{"image": "images/0001.nii.gz", "image_sha256": "", "affine": ("1",) * 16}]},
        {"spacing": 0.0},
        {"spacing": float("nan")},
        {"spacing": None},
        {"spacing": 10**400},
    ],
)
def test_overviews_that_say_nothing_sensible_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    scans = write_scans(tmp_path / "scans", 1)
    create(Plan(scans, tmp_path / "library"), overviews=some)
    rewrite(tmp_path / "library", **wrong)
    with pytest.raises(JobError) as caught:
        read_library(tmp_path / "library")
    assert caught.value.code is Code.LIBRARY_INVALID


def test_a_request_carries_them(tmp_path: Path) -> None:
    atlas = Atlas(tmp_path / "a.nii", tmp_path / "l.nii", name="1")
    seen = replace(atlas, overview=Overview(tmp_path / "o.nii", AFFINE, 4.0), name="2")
    request = Request((atlas, seen), tmp_path / "t.nii", tmp_path / "out")
    assert Request.from_json(request.to_json()) == request
    wrong = json.loads(request.to_json())
    wrong["atlases"] = ["a.nii"]
    for text in (request.to_json().replace("-0.1", "Infinity"), json.dumps(wrong)):
        with pytest.raises(JobError) as caught:
            Request.from_json(text)
        assert caught.value.code is Code.REQUEST_INVALID


def test_the_command_makes_them_unless_told_not_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans = write_scans(tmp_path / "smith", 2)
    make = ["atlases", "create", str(scans), "--label-table", str(write_table(tmp_path)), "--output"]
    assert cli.main([*make, str(tmp_path / "seen")]) == 0
    assert "2: overview" in capsys.readouterr().err
    seen = read_library(tmp_path / "seen")
    images = [atlas.overview.image for atlas in seen.atlases if atlas.overview is not None]
    assert images == [seen.folder / OVERVIEWS / name for name in ("0001.nii.gz", "0002.nii.gz")]
    assert check(seen) == ()
    header = sitk.ReadImage(str(images[0]))
    assert "smith" not in " ".join(header.GetMetaData(key) for key in header.GetMetaDataKeys())
    assert cli.main([*make, str(tmp_path / "plain"), "--without-overviews"]) == 0
    assert not (tmp_path / "plain" / OVERVIEWS).exists()
    assert cli.main(["atlases", "list", str(tmp_path / "seen")]) == 0
    assert "have overviews" in capsys.readouterr().out
    assert cli.main(["atlases", "list", str(tmp_path / "plain")]) == 0
    assert "have no overviews" in capsys.readouterr().out


def test_without_pytorch_a_library_is_made_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise JobError(Code.TORCH_MISSING, "PyTorch is not installed here.", "Install it.")

    monkeypatch.setattr(torch_state, "load_torch", missing)
    scans = write_scans(tmp_path / "scans", 2)
    assert cli.main(["atlases", "create", str(scans), "--output", str(tmp_path / "library")]) == 0
    assert "no overviews: PyTorch is not installed here." in capsys.readouterr().err
    assert [atlas.overview for atlas in read_library(tmp_path / "library").atlases] == [None, None]
