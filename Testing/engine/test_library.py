"""Atlas libraries: what goes in comes out, what does not belong together is refused, and damage is found."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib import cli
from JointRegSegLib.job import Code, JobError
from JointRegSegLib.job.folders import check_output
from JointRegSegLib.library.check import check
from JointRegSegLib.library.create import Plan, create
from JointRegSegLib.library.manifest import LICENCE, MANIFEST, Manifest, read_library
from JointRegSegLib.library.opening import open_library
from JointRegSegLib.library.places import user_folder
from JointRegSegLib.volumes import (
    Grid,
    Label,
    LabelMap,
    LabelTable,
    read_label_map,
    read_label_table,
    read_volume,
    write_label_map,
    write_label_table,
    write_segmentation,
)
from Testing.engine.library_cases import GRID, a_library, write_scans, write_table


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder."""
    monkeypatch.setenv("JOINTREGSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _refused(plan: Plan, code: Code, *words: str) -> None:
    before = sorted(plan.output.parent.iterdir())
    with pytest.raises(JobError) as caught:
        create(plan)
    assert caught.value.code is code, caught.value
    assert caught.value.advice
    assert [word for word in words if word not in caught.value.message] == [], caught.value.message
    assert sorted(plan.output.parent.iterdir()) == before


def test_members_are_the_scans_with_names_colours_and_licence(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    assert [atlas.name for atlas in library.atlases] == ["1", "2", "3"]
    for index, atlas in enumerate(library.atlases):
        given, kept = read_volume(tmp_path / "scans" / f"s{index}.nii.gz"), read_volume(atlas.image)
        np.testing.assert_array_equal(kept.array, given.array)
        assert kept.grid.same_as(given.grid)
        labels = read_label_map(atlas.labels, atlas.table)
        assert [label.name for label in labels.table.values()] == ["cortex", "caudate nucleus"]
        np.testing.assert_array_equal(
            labels.array, read_label_map(tmp_path / "scans" / f"s{index}_labels.nii.gz").array
        )
    assert (library.manifest.name, library.manifest.licence) == ("library", "CC0")
    assert check(library) == ()


def test_nothing_of_a_files_name_or_header_gets_in_unless_asked(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", 1)
    image = sitk.ReadImage(str(scans / "s0.nii.gz"))
    image.SetMetaData("0010|0010", "SMITH^JOHN")
    (scans / "s0.nii.gz").unlink()
    sitk.WriteImage(image, str(scans / "smith.nrrd"), True)
    (scans / "s0_labels.nii.gz").rename(scans / "smith_labels.nii.gz")
    create(Plan(scans, tmp_path / "plain"))
    kept = b"".join(file.read_bytes() for file in (tmp_path / "plain").rglob("*.*") if file.suffix != ".gz")
    assert b"mith" not in kept
    assert not sitk.ReadImage(str(read_library(tmp_path / "plain").atlases[0].image)).HasMetaDataKey("0010|0010")
    named = create(Plan(scans, tmp_path / "named", keep_names=True))
    assert [member.name for member in named.members] == ["smith"]


def test_scans_without_labels_are_left_out_and_told(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans")
    (scans / "s1_labels.nii.gz").unlink()
    told: list[str] = []
    assert len(create(Plan(scans, tmp_path / "library"), told.append).members) == 2
    assert "1 of 3 scans" in told[0]
    for index in (0, 2):
        (scans / f"s{index}_labels.nii.gz").unlink()
    _refused(Plan(scans, tmp_path / "other"), Code.DATA_INVALID, "none of its scans")


def test_cropped_segmentations_fit_and_labels_elsewhere_do_not(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", 1)
    whole = read_label_map(scans / "s0_labels.nii.gz", write_table(tmp_path))
    (scans / "s0_labels.nii.gz").unlink()
    part = LabelMap(whole.array[1:6, 2:5, 2:6], GRID.box((2, 2, 1), (4, 3, 5)), whole.table)
    write_segmentation(scans / "s0_labels.seg.nrrd", part)
    create(Plan(scans, tmp_path / "library"))
    atlas = read_library(tmp_path / "library").atlases[0]
    found = read_label_map(atlas.labels, atlas.table)
    np.testing.assert_array_equal(found.array, whole.array)
    assert found.table[2].name == "caudate nucleus"
    away = Grid(part.grid.size, part.grid.spacing, (300.0, 0.0, 0.0))
    write_segmentation(scans / "s0_labels.seg.nrrd", LabelMap(part.array, away, part.table))
    _refused(Plan(scans, tmp_path / "other"), Code.LABELS_ELSEWHERE, "Only 0%")


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans")
    _refused(Plan(scans, tmp_path / "l", table=write_table(tmp_path, "1,cortex\n")), Code.LIBRARY_INVALID, "value 2")
    (scans / "s2.nii.gz").write_bytes((scans / "s1.nii.gz").read_bytes())
    _refused(Plan(scans, tmp_path / "l"), Code.LIBRARY_INVALID, "2 and 3 are the same")
    labels = read_label_map(scans / "s1_labels.nii.gz")
    for index, name in ((0, "cortex"), (1, "liver")):
        (scans / f"s{index}_labels.nii.gz").unlink()
        table = LabelTable([Label(1, name, (1, 2, 3)), Label(2, "caudate", (4, 5, 6))])
        write_segmentation(scans / f"s{index}_labels.seg.nrrd", LabelMap(labels.array, GRID, table))
    _refused(Plan(scans, tmp_path / "l"), Code.LIBRARY_INVALID, "value 1 is liver in 2 and cortex")
    (scans / "s1.nii.gz").write_bytes(b"no image")
    _refused(Plan(scans, tmp_path / "l"), Code.FILE_UNREADABLE, "s1.nii.gz")


def test_an_existing_folder_is_never_replaced_and_a_library_is_no_result(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    _refused(Plan(tmp_path / "scans", library.folder), Code.OUTPUT_EXISTS)
    with pytest.raises(JobError, match="no result"):
        check_output(library.folder, overwrite=True)


def test_check_finds_every_damage(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    first, second, third = library.atlases
    first.image.write_bytes(second.image.read_bytes())
    second.labels.write_bytes(b"nothing")
    moved = Grid(GRID.size, GRID.spacing, (0.0, 0.0, 0.0))
    write_label_map(third.labels, LabelMap(np.ones(GRID.shape, np.uint8), moved, LabelTable()))
    write_label_table(library.table, LabelTable([Label(1, "cortex", (0, 0, 0))]))
    (library.folder / LICENCE).unlink()
    found = {(finding.member, finding.what) for finding in check(library)}
    words = {
        ("", "the label table is not"),
        ("", "LICENCE.txt is missing"),
        ("1", "the image is not"),
        ("2", "the label map is not"),
        ("2", "cannot be read as an image"),
        ("3", "labels and image lie on different grids"),
        ("3", "the label map holds other values"),
        ("3", "the table does not name its label value 2"),
    }
    assert [word for word in words if not any(word[0] == m and word[1] in what for m, what in found)] == []


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    library = a_library(tmp_path)
    fields = json.loads(library.manifest.to_json())
    for path in ("../scans/s0.nii.gz", "/etc/passwd", "C:\\scan.nii", "a/../../b"):
        fields["members"][0]["image"] = path
        (library.folder / MANIFEST).write_text(json.dumps(fields), encoding="utf-8")
        with pytest.raises(JobError) as caught:
            read_library(library.folder)
        assert caught.value.code is Code.LIBRARY_INVALID


def test_a_manifest_survives_its_text(tmp_path: Path) -> None:
    manifest = a_library(tmp_path).manifest
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_missing_things_have_their_codes(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        open_library(tmp_path / "none")
    assert caught.value.code is Code.LIBRARY_MISSING
    library = a_library(tmp_path)
    library.atlases[1].labels.unlink()
    with pytest.raises(JobError, match=r"0002.nii.gz is missing"):
        open_library(library.folder)


def test_a_zip_is_the_same_library_and_is_unpacked_once(tmp_path: Path, home: Path) -> None:
    folder = a_library(tmp_path)
    output = tmp_path / "packed" / "library.zip"
    create(Plan(tmp_path / "scans", output, table=tmp_path / "names.csv", licence="CC0\nmore words"))
    assert [file.name for file in output.parent.iterdir()] == ["library.zip"]
    library = open_library(output)
    assert library.manifest == folder.manifest
    assert library.digest == folder.digest
    assert library.folder.is_relative_to(home)
    assert check(library) == ()
    stamp = library.table.stat().st_mtime_ns
    assert open_library(output).table.stat().st_mtime_ns == stamp
    _refused(Plan(tmp_path / "scans", output), Code.OUTPUT_EXISTS)


def test_a_zip_that_is_none_leaves_nothing(tmp_path: Path, home: Path) -> None:
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as packed:
        packed.writestr("notes.txt", "no library")
    for name, code in (("cut.zip", Code.LIBRARY_INVALID), ("empty.zip", Code.LIBRARY_MISSING)):
        with pytest.raises(JobError) as caught:
            open_library(tmp_path / name)
        assert caught.value.code is code
    assert not home.exists()


def test_a_written_table_reads_back(tmp_path: Path) -> None:
    codes = {"Type_CodingScheme": "SCT", "Type_CodeValue": "40146001", "Type_CodeMeaning": "Cortex, cerebral"}
    table = LabelTable([Label(3, 'the "inner" part, left', (1, 2, 3), codes), Label(70, "b", (4, 5, 6))])
    write_label_table(tmp_path / "t.csv", table)
    assert list(read_label_table(tmp_path / "t.csv").values()) == list(table.values())


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {"HOME": "/h"}, Path("/h/.local/share/jointregseg")),
        ("linux", {"HOME": "/h", "XDG_DATA_HOME": "/d"}, Path("/d/jointregseg")),
        ("darwin", {"HOME": "/h"}, Path("/h/Library/Application Support/JointRegSeg")),
        ("win32", {"LOCALAPPDATA": "/l"}, Path("/l/JointRegSeg")),
        ("linux", {"HOME": "/h", "JOINTREGSEG_HOME": "/own"}, Path("/own")),
    ],
)
def test_the_users_folder_is_where_the_system_keeps_data(
    platform: str, environment: dict[str, str], folder: Path
) -> None:
    assert user_folder(environment, platform) == folder


def test_the_commands_make_check_and_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans, table = write_scans(tmp_path / "scans"), write_table(tmp_path)
    (tmp_path / "terms.txt").write_text("CC-BY 4.0\n", encoding="utf-8")
    made = ["--output", str(tmp_path / "l"), "--label-table", str(table), "--licence", str(tmp_path / "terms.txt")]
    assert cli.main(["atlases", "create", str(scans), *made, "--name", "small", "--keep-names"]) == 0
    assert cli.main(["atlases", "list", str(tmp_path / "l")]) == 0
    said = capsys.readouterr().out
    assert "small, version 1. Licence: CC-BY 4.0" in said
    assert [line.split()[0] for line in said.splitlines()[-3:]] == ["s0", "s1", "s2"]
    assert cli.main(["atlases", "check", str(tmp_path / "l")]) == 0
    read_library(tmp_path / "l").atlases[0].image.write_bytes(b"")
    assert cli.main(["atlases", "check", str(tmp_path / "l")]) == 2
    assert "error [library-invalid]" in capsys.readouterr().err
