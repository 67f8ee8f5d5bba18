"""Reports: whole pages that load nothing, tell what there is, and put what is odd first."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from JointRegSegLib import cli
from JointRegSegLib.job import (
    Atlas,
    Caution,
    Code,
    JobError,
    LabelVolume,
    Measure,
    QualityTable,
    Result,
    Status,
    StepCost,
    result,
)
from JointRegSegLib.phantom import PhantomFiles
from JointRegSegLib.report.cohort_page import PAGE, VOLUMES, Case, write_cohort
from JointRegSegLib.report.outliers import outliers, robust_z
from JointRegSegLib.report.run_page import write_report
from JointRegSegLib.volumes import read_label_map, write_volume
from Testing.engine.html_cases import Page
from Testing.engine.pipeline_cases import Told
from Testing.rig.need import need

need("matplotlib")
need("jinja2")


_PATHED = Caution("atlas-left-out", "2 was left out: /data/doe/0002.nii.gz is damaged, 1/2 voxel.")


@pytest.fixture
def run(told: Told, tmp_path: Path) -> Result:
    """A copy of a finished run of the phantom pair, to write into."""
    shutil.copytree(told.result.folder, tmp_path / "run")
    return Result.open(tmp_path / "run")


def _retold(run: Result, **changes: object) -> None:
    table = QualityTable(**{**vars(run.quality), **changes})  # type: ignore[arg-type]
    run.path(result.QUALITY_JSON).write_text(table.to_json(), encoding="utf-8")


def _report(run: Result, files: PhantomFiles) -> tuple[Page, str]:
    text = write_report(run, files.target, Atlas(files.atlas, files.atlas_labels)).read_text(encoding="utf-8")
    return Page(text), text


def test_a_report_shows_before_after_grid_and_jacobian(run: Result, files: PhantomFiles) -> None:
    page, text = _report(run, files)
    titles = [alt.partition(":")[0] for alt in page.all("img", "alt")]
    assert titles == [
        "Outlines before",
        "Outlines after",
        "Checkerboard before",
        "Checkerboard after",
        "Deformed grid",
        "Local size",
    ]
    pictures = [base64.b64decode(source.partition("base64,")[2]) for source in page.all("img", "src")]
    assert all(picture.startswith(b"\x89PNG\r\n\x1a\n") for picture in pictures)
    assert len(set(pictures)) == len(pictures)
    assert {"caudate left", "hippocampus right", "folding", "SDlogJ"} <= set(page.texts)
    assert run.path(result.THUMBNAIL).read_bytes().startswith(b"\x89PNG")
    assert "/tmp" not in text


def test_a_report_loads_nothing_and_names_no_path(run: Result, files: PhantomFiles) -> None:
    page, text = _report(run, files)
    assert [address for address in page.addresses() if not address.startswith("data:image/png;base64,")] == []
    assert any("default-src 'none'" in content for content in page.all("meta", "content"))
    for path in (run.folder, files.target, files.atlas, Path.home()):
        assert str(path) not in text
    assert run.folder.name not in page.texts


def test_warnings_are_told_in_words(run: Result, files: PhantomFiles) -> None:
    bad = Measure("folding_percent", "folding", 2.5, "%", Status.BAD)
    _retold(run, measures=(bad,), cautions=(Caution("labels-lost", "No voxel of the target got: fornix."), _PATHED))
    page, text = _report(run, files)
    assert "Some measures say that the result is probably wrong." in page.texts
    place = page.texts.index("Warnings")
    assert page.texts[place + 1] == "No voxel of the target got: fornix."
    assert page.texts[place + 2] == "2 was left out: … is damaged, 1/2 voxel."
    assert "/data/" not in text
    assert page.texts[place + 3].startswith("The deformation folds over itself")
    assert page.texts[place + 3].endswith("(folding: 2.5 %)")


def test_names_are_escaped(run: Result, files: PhantomFiles) -> None:
    volumes = (LabelVolume(1, '<script>alert("x")</script>', 5, 0.5),)
    _retold(run, labels=volumes, cautions=(Caution("x", "<img src=x onerror=alert(1)>"),))
    page, text = _report(run, files)
    assert "<script" not in text
    assert '<script>alert("x")</script>' in page.texts
    assert "<img src=x onerror=alert(1)>" in page.texts


def test_confidence_is_drawn_and_averaged_where_there_is_some(run: Result, files: PhantomFiles) -> None:
    labels = read_label_map(run.path(result.SEGMENTATION))
    sure = np.where(labels.array == 3, 0.25, np.where(labels.array > 0, 0.75, 1.0)).astype(np.float32)
    write_volume(run.path(result.CONFIDENCE), sure, labels.grid)
    page, _ = _report(run, files)
    assert "mean confidence" in page.texts
    place = page.texts.index("lateral ventricle left")
    assert page.texts[place + 2] == "0.25"
    assert page.texts[page.texts.index("cerebellum") + 2] == "0.75"
    assert page.all("img", "alt")[-1].startswith("Confidence:")


def test_several_atlases_show_where_they_disagree(run: Result, files: PhantomFiles) -> None:
    labels = read_label_map(run.path(result.SEGMENTATION))
    write_volume(run.path(result.CONFIDENCE), np.ones(labels.grid.shape, np.float32), labels.grid)
    write_volume(run.path(result.REVIEW), np.zeros(labels.grid.shape, np.uint8), labels.grid)
    volumes = tuple(replace(volume, confidence=0.87, review=0.034) for volume in run.quality.labels)
    _retold(run, labels=volumes)
    facts = {**run.manifest, "atlases": ["one", "two"], "fusion": "joint", "most_alike": "two", "left_out": 1}
    run.path(result.MANIFEST).write_text(json.dumps(facts), encoding="utf-8")
    page, _ = _report(run, files)
    assert [alt.partition(":")[0] for alt in page.all("img", "alt")][-2:] == ["Confidence", "To look at"]
    place = page.texts.index("cerebellum")
    assert page.texts[place + 2 : place + 4] == ["0.87", "3.4"]
    assert any(text.endswith("structures from 2 atlases") for text in page.texts)
    assert page.texts[page.texts.index("pictures are of atlas") + 1] == "two"


def test_without_the_scans_a_report_shows_what_the_result_holds(
    run: Result, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["report", str(run.folder)]) == 0
    assert capsys.readouterr().out == f"report: {run.folder / 'report.html'}\n"
    page = Page((run.folder / "report.html").read_text(encoding="utf-8"))
    titles = [alt.partition(":")[0] for alt in page.all("img", "alt")]
    assert titles == ["Outlines after", "Deformed grid", "Local size"]
    assert "The structures found, on the registered atlas." in " ".join(page.texts)


def test_a_report_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    assert f"error [result-invalid]: The folder {tmp_path} holds no result." in capsys.readouterr().err
    assert cli.main(["report", str(tmp_path / "nope")]) == 2
    assert f"error [result-invalid]: There is no folder {tmp_path / 'nope'}." in capsys.readouterr().err
    (tmp_path / result.LABELS).touch()
    assert cli.main(["report", str(tmp_path)]) == 2
    assert f"The result in {tmp_path} lacks {result.SEGMENTATION}, " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["report", str(tmp_path), "--atlas", "a.nii"])


@pytest.mark.parametrize("module", ["matplotlib.figure", "jinja2"])
def test_what_is_not_installed_is_named(
    run: Result, files: PhantomFiles, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(JobError, match=module.partition(".")[0]) as caught:
        _report(run, files)
    assert caught.value.code is Code.EXTRA_MISSING
    assert "jointregseg[report]" in caught.value.advice
    assert not run.path("report.html").exists()


def test_robust_z_is_the_normal_one_for_normal_numbers_and_survives_strays() -> None:
    values = np.random.default_rng(0).normal(10.0, 2.0, 4001)
    plain = (values - values.mean()) / values.std()
    assert np.abs(robust_z(values) - plain).max() < 0.15
    spoiled = np.append(values, [1e6] * 100)
    assert np.abs(robust_z(spoiled)[:4001] - plain).max() < 0.5
    # Median 3, absolute deviations 2, 1, 0, 1, 2: their median is 1.
    np.testing.assert_allclose(robust_z(np.arange(1.0, 6.0)), np.arange(-2, 3) / 1.4826)


def test_robust_z_of_values_mostly_alike() -> None:
    np.testing.assert_allclose(robust_z(np.array([0.0, 0, 0, 0, 5])), [0, 0, 0, 0, 5 / 1.2533])
    np.testing.assert_array_equal(robust_z(np.full(6, 2.0)), np.zeros(6))
    assert np.isnan(robust_z(np.array([1.0, np.nan, 1.0]))).tolist() == [False, True, False]


def _table(volume: float, folding: float = 0.0, similarity: float = 0.8, status: Status = Status.GOOD) -> QualityTable:
    measures = (
        Measure("folding_percent", "folding", folding, "%", status),
        Measure("similarity_after", "lncc after", similarity),
    )
    return QualityTable(measures, (LabelVolume(4, "caudate", 10, volume),), (StepCost("align", 1, 1, 1),))


def _tables() -> dict[str, QualityTable]:
    return {f"case-{n}": _table(4.0 + 0.01 * n, 0.001 * n, 0.80 + 0.001 * n) for n in range(9)}


def test_outliers_are_those_who_fold_fit_badly_or_have_odd_volumes() -> None:
    tables = _tables()
    assert outliers(tables) == {}
    tables |= {"big": _table(9.0), "folded": _table(4.0, 3.0), "unlike": _table(4.0, similarity=0.1)}
    found = outliers(tables)
    assert set(found) == {"big", "folded", "unlike"}
    assert found["big"][0].words.startswith("caudate: 9 ml, usual 4.0")
    assert found["folded"][0].words.startswith("folds: 3, usual")
    assert found["unlike"][0].z < -3.5
    # More alike than the others, or without any fold, is no fault.
    assert outliers({**_tables(), "good": _table(4.0, similarity=0.99)}) == {}


def test_few_cases_are_not_compared_but_bad_measures_are_told() -> None:
    found = outliers({"a": _table(4.0), "b": _table(400.0), "c": _table(4.0, 1.0, status=Status.BAD)})
    assert list(found) == ["c"]
    assert found["c"][0].words == "folding is bad: 1 %"


def _cohort(folder: Path, told: Told) -> list[Case]:
    cases = []
    tables = {**_tables(), "big": _table(9.0)}
    for name, table in tables.items():
        copy = folder / "cases" / name
        copy.mkdir(parents=True)
        for file in (result.MANIFEST, result.QUALITY_JSON):
            shutil.copy(told.result.path(file), copy)
        (copy / result.QUALITY_JSON).write_text(table.to_json(), encoding="utf-8")
        (copy / "report.html").touch()
        cases.append(Case(name, "done", result=Result(copy)))
    return [*cases, Case("zz & <b>", "failed", "There is no target.")]


def test_a_cohorts_page_puts_failed_cases_and_outliers_first(told: Told, tmp_path: Path) -> None:
    cases = _cohort(tmp_path, told)
    text = write_cohort(tmp_path, cases).read_text(encoding="utf-8")
    page = Page(text)
    ids = page.all("td", "data-value")[:: 2 + 2]
    assert ids == ["zz & <b>", "big", *(f"case-{n}" for n in range(9))]
    assert page.addresses() == [f"cases/{name}/report.html" for name in ids[1:]]
    assert "There is no target." in page.texts
    assert "1 failed. 1 case differs from the others or has a bad measure." in page.texts
    assert any(words.startswith("caudate: 9 ml") for words in page.texts)
    assert str(tmp_path) not in text
    assert (tmp_path / PAGE).is_file()


def test_volumes_are_a_table_for_statistics(told: Told, tmp_path: Path) -> None:
    write_cohort(tmp_path, _cohort(tmp_path, told))
    rows = list(csv.reader(io.StringIO((tmp_path / VOLUMES).read_text(encoding="utf-8"))))
    assert rows[0] == ["id", "4 caudate"]
    assert rows[1:3] == [["case-0", "4"], ["case-1", "4.01"]]
    assert len(rows) == 11
