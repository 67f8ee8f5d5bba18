"""The summary and the report say what was measured, and nothing about whom."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from JointRegSegLib.job import Caution, Code, Event, JobError, Kind, LabelVolume, Measure, QualityTable, Result, Status
from Testing.rig.need import need
from Testing.scene.results import FinishedRun

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
from Testing.rig import gui  # noqa: E402

gui.install()
from JointRegSegLib.panel import summary  # noqa: E402
from JointRegSegLib.panel.path_words import shorten_paths  # noqa: E402
from JointRegSegLib.panel.report import report  # noqa: E402
from JointRegSegLib.panel.words import progress_line, time_left  # noqa: E402

pytestmark = pytest.mark.gui


def table(*statuses: Status, cautions: tuple[Caution, ...] = ()) -> QualityTable:
    measures = tuple(Measure(f"m{i}", f"measure {i}", i / 8, "mm", status) for i, status in enumerate(statuses))
    return QualityTable(measures, (LabelVolume(1, "a", 10, 1.5), LabelVolume(2, "b", 10, 2.25)), (), cautions)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((Status.GOOD, Status.NONE), Status.GOOD),
        ((Status.GOOD, Status.LOOK), Status.LOOK),
        ((Status.LOOK, Status.BAD, Status.GOOD), Status.BAD),
        ((), Status.GOOD),
    ],
)
def test_the_worst_measure_decides(statuses: tuple[Status, ...], expected: Status) -> None:
    assert table(*statuses).overall is expected


def test_a_caution_asks_for_a_look() -> None:
    assert table(Status.GOOD, cautions=(Caution("x", "Beware."),)).overall is Status.LOOK


def test_marks_are_colors_and_words() -> None:
    text = summary.to_html(table(Status.GOOD, Status.LOOK, Status.BAD), [])
    assert all(word in text for word in ("good", "look", "bad", "#2e9e4f", "#d98e04", "#d6403a"))
    assert "0.25 mm" in text
    assert "Structures: 2, 3.8 ml in all." in text


def test_a_sentence_is_said_once_and_is_no_markup() -> None:
    caution = Caution("x", "Labels <b> overlap.")
    text = summary.to_html(table(cautions=(caution,)), [caution.message])
    assert text.count("Labels &lt;b&gt; overlap.") == 1


def test_the_report_holds_versions_settings_and_quality(the_run: FinishedRun) -> None:
    text = report(the_run.result, None, ["A note."], "PyTorch 2.13.0: CPU")
    assert all(part in text for part in ("JointRegSeg 0.1.0", "PyTorch 2.13.0", "seed: 7", "Folding", "A note."))
    assert "target_digest" in the_run.result.manifest
    assert "digest" not in text


def test_the_report_shortens_paths() -> None:
    place = Path(tempfile.gettempdir()) / "run" / "atlas.nrrd"
    error = JobError(Code.FILE_MISSING, f"There is no {place} and no {Path.home() / 'scan.nii'}.", "Look.")
    text = report(None, error, [], "")
    assert "TMP" in text
    assert tempfile.gettempdir() not in text
    assert str(Path.home() / "scan.nii") not in text
    assert "file-missing" in text


def test_the_report_names_no_node() -> None:
    error = JobError(Code.MASK_EMPTY, "The mask “Doe^Jane mask” leaves no voxel.", "Mark some.")
    text = report(None, error, ["The target “Doe^Jane” is used where its transform places it."], "")
    assert "Doe" not in text
    assert "The target “...” is used where its transform places it." in text
    assert "mask-empty" in text


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("There is no /data/Doe_Jane/ct.nii.gz and no /x/y.nii.", "There is no .../*.nii.gz and no .../*.nii."),
        (r"C:\Users\Jane Doe\CT of Doe\ct.nrrd cannot be read.", ".../*.nrrd cannot be read."),
        (r"\\ward\Doe\ct.mha and C:\Users\DOE~1\ct.mha", ".../*.mha and .../*.mha"),
        (
            "The folder ~/Doe has none (https://pytorch.org/a, 1/2).",
            "The folder .../* has none (https://pytorch.org/a, 1/2).",
        ),
        ("PyTorch is not installed in /opt/Doe/bin/python3.12.", "PyTorch is not installed in .../python3.12."),
        (
            r"No such file or directory: 'C:\\Users\\Jane Doe\\CT of Doe\\CT of Doe.nrrd'",
            "No such file or directory: '.../*.nrrd'",
        ),
        (r"'\\\\ward\\Jane Doe\\Doe, Jane' is no folder", "'.../*' is no folder"),
        ("""No such file: "/data/O'Neill, Jane; CT.nii.gz".""", 'No such file: ".../*.nii.gz".'),
        ("/x/Doe.Jane and /x/CT.Doe.seg.nrrd and /x/a.MHA", ".../* and .../*.seg.nrrd and .../*.mha"),
        ("/x/python_of_Jane is none", ".../* is none"),
        ("file:///home/Doe/a.nii, file:///C:/Doe/b.nii", ".../*.nii, .../*.nii"),
        ("../Doe/ct.nii or ~doe/Doe.nii", ".../*.nii or .../*.nii"),
        ("ITK ERROR:/data/Doe/ct.nii and file:C:/Doe/x.nii", "ITK ERROR:.../*.nii and file:.../*.nii"),
        (
            "It ended... 1.5/2 ml and/or N/A at http://localhost:80/a",
            "It ended... 1.5/2 ml and/or N/A at http://localhost:80/a",
        ),
    ],
)
def test_no_path_tells_whose_scan_it_is(said: str, told: str) -> None:
    assert shorten_paths(said) == told


def test_a_chosen_file_is_told_by_its_kind_whatever_it_is_called() -> None:
    file = Path("/data") / "Doe, Jane; CT of 3 May.nrrd"
    error = JobError(Code.FILE_UNREADABLE, f"{file} cannot be read as an image.", "Save it again.")
    assert ".../*.nrrd cannot be read as an image." in report(None, error, [], "", [file])


def test_the_longest_chosen_file_goes_first() -> None:
    files = [Path("/data/Doe, Jane"), Path("/data/Doe, Jane (2); CT/ct of Jane.nii")]
    said = f"{files[1]} and {files[0]}/IM Doe.dcm differ; {files[0]}-2/x.nii is none."
    assert shorten_paths(said, files) == ".../*.nii and .../* Doe.dcm differ; .../*.nii is none."


def test_the_report_names_no_structure_and_no_atlas(tmp_path: Path) -> None:
    told = (
        Caution("labels-lost", "No voxel of the target got: Doe, left, Doe."),
        Caution("labels-cut", "Jane 1: The target seems to show only a part of: Doe."),
        Caution("atlas-left-out", "Jane 2 was left out: it holds no label."),
    )
    labels = (LabelVolume(7, "Doe, left", 10, 1.5, 0.5, 0.25), LabelVolume(8, "Doe", 10, 2.25))
    names = ["Jane 1", "atlas 3"]
    manifest = {"seed": 7, "atlases": names, "most_alike": "Jane 1", "atlas_folders": {"Jane 1": "atlases/01"}}
    (tmp_path / "quality.json").write_text(QualityTable((), labels, (), told[:2]).to_json(), encoding="utf-8")
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    notes = [caution.message for caution in told]
    text = report(Result(tmp_path), None, notes, "", cautions=told, atlases=["Jane 2"])
    assert "Doe" not in text
    assert "Jane" not in text
    for line in ("label\t7\t1.5\tml\t", "confidence\t7\t0.500\t\t", "to look at\t7\t25.0\t%\t", "atlases: 2"):
        assert line in text.splitlines()
    for line in ("labels-lost: 2 of the structures", "labels-cut: 1 of the structures", "atlas-left-out: ... was left"):
        assert text.count(f"caution {line}") == 1


def test_the_report_has_no_empty_line() -> None:
    assert "" not in report(None, None, ["", "A note."], "").splitlines()


def test_the_report_says_what_it_is_not() -> None:
    assert "not a medical device" in report(None, None, [], "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (2, "a few seconds left"),
        (42, "about 40 s left"),
        (89, "about 90 s left"),
        (200, "about 3 min left"),
    ],
)
def test_time_left_in_words(seconds: float | None, words: str) -> None:
    assert time_left(seconds) == words


def test_progress_without_a_known_fraction_shows_the_step() -> None:
    assert progress_line(Event(Kind.PROGRESS, stage="align")) == "Aligning"
    assert progress_line(Event(Kind.PROGRESS, stage="dream", fraction=0.5)) == "dream (50 %)"
