"""Benchmarks of trained methods and of networks: rows, budgets, subjects, ablations, tables, and known counts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import SimpleITK as sitk
import torch

from JointRegSegLib import methods
from JointRegSegLib.metrics import dice
from JointRegSegLib.networks import VoxelMorph
from Testing.benchmarks import (
    coarser,
    comparison_tables,
    merged_labels,
    network_run,
    networks_run,
    networks_tables,
    normalised,
    studies_run,
    studies_tables,
    subjects,
)
from Testing.benchmarks.__main__ import KEPT, METHOD_PAGES, main
from Testing.benchmarks.networks import METHODS, NAMES, NETWORKS, WHOLE, WholeMethod
from Testing.benchmarks.networks_whole import Training, inference_of
from Testing.benchmarks.parts import Budget
from Testing.benchmarks.rows import Line, Store, newest_of_any_budget, record
from Testing.benchmarks.studies import STUDIES, Study, StudyBudget
from Testing.engine.model_cases import write_boxes

ROWS = STUDIES["few-shot"].rows
BY_NAME = {row.name: row for part in STUDIES.values() for row in part.rows}
SMALL, MONO = BY_NAME["few-shot/jrss/small/5"], BY_NAME["few-shot/jrss/small_mono/5"]
ALONE = Study("few-shot", "hippocampus", 3, 2, "deepatlas", "small_mono", 1, budget=StudyBudget(0.02, 1, "cpu", 1))


def line_of(row: Study, segmentation: list[float], date: str = "2026-01-01", **budget: float) -> Line:
    """A finished line with made-up figures, a subject for each Dice."""
    scores = {str(number): value for number, value in enumerate(segmentation)}
    arms = ("none", *(studies_run.REFINED if row.joint else ()))
    return {
        "row": row.name,
        "part": row.part,
        "key": row.key,
        "code": "engine a",
        "commit": "c0ffee",
        "date": date,
        "settings": row.settings,
        "budget": {"threads": 1, "device": "cpu", "train_minutes": 15.0, "refined": 2, **budget},
        "machine": {"processor": "P", "cores": 2},
        "steps": 7,
        "minutes": 15.0,
        "dice": {arm: dict.fromkeys(("registration", "segmentation", "fused"), scores) for arm in arms},
        "figures": {arm: dict.fromkeys(studies_run.FIGURES, dict.fromkeys(scores, 0.25)) for arm in arms},
    }


def test_rows_have_names_of_their_own_and_presets_that_exist() -> None:
    every = [row for part in STUDIES.values() for row in part.rows]
    assert len(BY_NAME) == len(every)
    for row in every:
        assert {row.preset, row.ablation} <= {*methods.presets(row.method), ""}
    for row in ROWS:
        assert (row.beside in BY_NAME) == row.joint
    assert BY_NAME["few-shot/jrss/small+screening/5"].beside == SMALL.name
    assert SMALL.beside == MONO.name
    assert len({row.name for row in NETWORKS["networks"].rows}) == 4 * len(NAMES) + 2 * len(WHOLE) + len(METHODS)
    assert set(METHODS) == set(methods.METHODS)


def test_another_budget_is_another_measurement_but_is_shown(tmp_path: Path) -> None:
    short = replace(SMALL, budget=replace(SMALL.budget, train_minutes=8.0))
    store = Store(tmp_path / "results")
    store.add(line_of(short, [0.5, 0.6], train_minutes=8.0))
    assert store.has(short, "engine a")
    assert not store.has(SMALL, "engine a")
    found = newest_of_any_budget(store.lines("few-shot"), SMALL)
    assert found is not None
    assert found["budget"]["train_minutes"] == 8.0
    record(store, tmp_path / "kept", STUDIES.values(), newest_of_any_budget)
    assert Store(tmp_path / "kept").lines("few-shot") == [found]


def test_differences_are_paired_and_have_students_interval() -> None:
    own, other = {"a": 0.5, "b": 0.7, "c": 0.9, "d": 1.0}, {"a": 0.4, "b": 0.5, "c": 0.6}
    value, half = studies_tables.difference(own, other)
    assert value == pytest.approx(0.2)
    assert half == pytest.approx(4.30265 * 0.1 / 3**0.5, rel=1e-5)  # quantile for 2 degrees of freedom


def test_tables_name_what_was_not_run_and_compare_equal_budgets_alone() -> None:
    lines = [line_of(MONO, [0.3, 0.5]), line_of(SMALL, [0.5, 0.8])]
    text = studies_tables.method_text([MONO, SMALL, BY_NAME["few-shot/jrss/small/1"]], lines)
    assert "| small | 5 | 15 | 7 | 2 | 0.6500 | 0.6500 | `small_mono`: +0.2500 ± 0.6353 |" in text
    assert "Rows not run: `few-shot/jrss/small/1`." in text
    assert "| small, 5 | optimisation alone | 2 | 0.6500 | 0.6500 | 0.250 | 0.250 | 0.250 | 0.250 |" in text
    lines[1] = line_of(SMALL, [0.5, 0.8], train_minutes=8.0)
    text = studies_tables.method_text([MONO, SMALL], lines)
    assert "| small | 5 | 8 | 7 | 2 | 0.6500 | 0.6500 | - | - | c0ffee |" in text


def test_pages_keep_their_words_around_the_tables() -> None:
    page = "before\n<!-- rows:few-shot -->\nold\n<!-- /rows:few-shot -->\nafter\n"
    assert studies_tables.between(page, "few-shot", "new\n") == page.replace("old", "new")
    assert studies_tables.between(page, "lpba40", "new\n") == page


@pytest.mark.parametrize("method", sorted({row.method for row in BY_NAME.values()}))
def test_the_pages_in_the_repository_are_made_from_the_lines_beside_them(method: str) -> None:
    text = (METHOD_PAGES / f"{method}.md").read_text(encoding="utf-8")
    assert text == studies_tables.filled(text, method, Store(KEPT))
    assert studies_tables.markers("few-shot")[0] in text


def test_all_methods_stand_side_by_side(tmp_path: Path) -> None:
    page = METHOD_PAGES / comparison_tables.PAGE
    assert page.read_text(encoding="utf-8") == comparison_tables.page_text(Store(KEPT))
    brain, store = BY_NAME["brain-methods/jrss/small/5"], Store(tmp_path)
    line = line_of(brain, [0.5, 0.6])
    line["dice"]["joint"] = {**line["dice"]["joint"], "fused": {"0": 0.7, "1": 0.9}}
    line["figures"]["joint"] = {**line["figures"]["joint"], "seconds": {"0": 2.25, "1": 2.25}}
    without = BY_NAME["brain-methods/mmln/small/1"]
    other = line_of(without, [0.5, 0.6])
    other["dice"] = {arm: {"registration": scores["registration"]} for arm, scores in other["dice"].items()}
    del other["dice"]["joint"]
    for found in (line, other, line_of(MONO, [0.3, 0.5])):
        store.add(found)
    text = comparison_tables.page_text(store)
    assert "| jrss | small_mono | 5 | 15 | 7 | 2 | 0.4000 | 0.4000 | 0.250 | 0.25 | c0ffee |" in text
    joint = "| refined by images and segmentation | 0.5500 | 0.8000 | 0.250 | 2.2 | +0.0000 ± 0.0000 |"
    assert f"| jrss | small | 5 | 15 | 7 | 2 {joint} +0.2500 ± 0.6353 | +2.0 ± 0.0 |" in text
    assert "| optimisation alone | 0.5500 | 0.5500 | 0.250 | 0.2 | - | - | - |" in text
    assert text.count("| mmln | small | 1 |") == 3
    assert "`brain-methods/mmln/small/5`" in text
    assert "trainings has converged" in text


def test_a_method_that_does_not_segment_has_its_rows() -> None:
    rows = [BY_NAME[f"few-shot/mmln/{preset}/5"] for preset in ("small_mono", "small")]
    lines = [line_of(row, [0.5, 0.6]) for row in rows]
    for line in lines:
        line["dice"] = {arm: {"registration": d["registration"]} for arm, d in line["dice"].items() if arm != "joint"}
    text = studies_tables.method_text(rows, lines)
    assert "| small | 5 | 15 | 7 | 2 | - | 0.5500 | - | `small_mono`: +0.0000 ± 0.0000 | c0ffee |" in text
    assert "| small, 5 | refined by images |" in text
    assert "images and segmentation" not in text


def test_the_page_of_networks_is_made_from_the_lines_beside_it() -> None:
    page = METHOD_PAGES / "networks.md"
    assert page.read_text(encoding="utf-8") == networks_tables.page_text(Store(KEPT))


def test_the_page_of_networks_tells_whole_methods_from_networks_and_older_lines_from_newer(tmp_path: Path) -> None:
    line = {"commit": "c0ffee", "budget": {"threads": 1}, "machine": {"processor": "P", "cores": 2}, "part": "networks"}
    figures = {"seconds": 3.0, "floor_seconds": 2.0, "multiply_adds": 1e9, "peak_mb": 700.0}
    newer = {"cpu_seconds": 2.0, "floor_cpu_seconds": 1.0, "bfloat16": True}
    by_name = {row.name: row for row in NETWORKS["networks"].rows}
    store = Store(tmp_path)
    for name, more in (("networks/unet_light/step/cpu", {}), ("networks/mmln/step/80x96x80/cpu", newer)):
        row = by_name.pop(name)
        store.add({**line, **figures, **more, "row": name, "key": row.key, "settings": row.settings})
    text = networks_tables.page_text(store)
    assert "| unet_light | 80x96x80 | step | 3.000 | - | 2.000 | 1.5 | 1.0 | 700 | 1 | P, 2 cores | c0ffee |" in text
    assert (
        "| mmln, whole | 80x96x80 | step, bfloat16 | 3.000 | 2.000 | 2.000 | 2.0 | 1.0 | 700 | 1 | P, 2 cores |" in text
    )
    assert text.endswith(f"Rows not run: {', '.join(f'`{name}`' for name in by_name)}.\n")


def test_a_row_trains_evaluates_and_goes_on_with_what_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies_run, "WORK", tmp_path / "work")
    write_boxes(tmp_path / "hippocampus")
    line = studies_run.measure(ALONE, tmp_path, "engine a")
    assert "error" not in line, line["error"]
    assert line["steps"] > 0
    assert {source: set(scores) for source, scores in line["dice"]["none"].items()} == {
        source: {"03", "04"} for source in ("registration", "segmentation", "fused")
    }
    assert set(line["figures"]["none"]) == set(studies_run.FIGURES)

    joint = replace(ALONE, preset="small", ablation="semi")
    folder = studies_run.folder_of(joint, "engine a")
    shutil.copytree(studies_run.folder_of(ALONE, "engine a"), folder)
    (folder / "refined").mkdir()
    first = json.loads((folder / "scores" / "records.jsonl").read_text(encoding="utf-8").splitlines()[0])
    refined = [json.dumps({**first, "arm": arm}) for arm in ("images", "joint")]
    (folder / "refined" / "records.jsonl").write_text("\n".join(refined), encoding="utf-8")
    again = studies_run.measure(joint, tmp_path, "engine a")
    assert again["dice"]["none"] == line["dice"]["none"]
    assert {arm: set(scores["registration"]) for arm, scores in again["dice"].items()} == {
        "none": {"03", "04"},
        **{arm: {"03"} for arm in studies_run.REFINED},
    }
    assert not list(folder.glob("*.partial"))
    assert (folder / "refined.csv").read_text(encoding="utf-8").count(",test") == 1

    # What knows no method is measured once for all rows on the same scans.
    other = replace(joint, ablation="")
    shutil.copytree(folder, studies_run.folder_of(other, "engine a"))
    (shared,) = folder.parent.glob("optimisation-*/records.jsonl")
    (record,) = map(json.loads, shared.read_text(encoding="utf-8").splitlines())
    shared.write_text(json.dumps({**record, "figures": {**record["figures"], "NCC": 0.125}}), encoding="utf-8")
    assert studies_run.measure(other, tmp_path, "engine a")["figures"]["optimisation"]["NCC"] == {"03": 0.125}


def test_ablations_are_laid_upon_the_preset(tmp_path: Path) -> None:
    row = BY_NAME["few-shot/jrss/small+screening/5"]
    found = methods.read_settings("jrss", studies_run._preset(row, tmp_path, tmp_path))
    small = methods.read_settings("jrss", methods.presets("jrss")["small"])
    assert found == replace(small, strategy=replace(small.strategy, screening=False))


def test_the_scored_structures_and_the_spacing_are_laid_upon_the_preset(tmp_path: Path) -> None:
    (tmp_path / "oasis").mkdir()
    (tmp_path / "oasis" / "labels.csv").write_text('value,name,scored\n1,air,0\n4,"left, inner",1\n11,right,1\n')
    row = BY_NAME["brain-methods/pgcnet/small/1"]
    found = methods.read_settings("pgcnet", studies_run._preset(row, tmp_path, tmp_path))
    small = methods.read_settings("pgcnet", methods.presets("pgcnet")["small"])
    structures = {"left, inner": (4,), "right": (11,)}
    assert found == replace(small, data=replace(small.data, spacing=(4.0, 4.0, 4.0), structures=structures))
    assert subjects.scored(tmp_path, "oasis") == [4, 11]
    assert subjects.scored(tmp_path, "hippocampus") is None


def test_tested_subjects_that_train_show_no_labels(tmp_path: Path) -> None:
    image, label = tmp_path / "i.nii.gz", tmp_path / "l.nii.gz"
    listed: list[studies_run.Listed] = [(image, label, split) for split in ("train", "test", "val")]
    seen = studies_run._learnt(replace(ALONE, seen=True), listed, tmp_path)
    assert seen == [(image, label, "train"), (image, None, "train"), (image, label, "val")]
    assert studies_run._learnt(ALONE, listed, tmp_path) == listed
    file = studies_run._write_subjects(tmp_path / "training.csv", seen)
    assert file.read_text(encoding="utf-8").splitlines()[2] == f"{image},,train"


def test_scans_are_normalised_by_an_affine(tmp_path: Path) -> None:
    """A scan that was moved comes back onto the template, and its labels with it."""
    data = write_boxes(tmp_path / "boxes", 1)
    template, labels = data / "00_mr.nii.gz", data / "00_labels.nii.gz"
    moved = []
    for source in (template, labels):
        image = sitk.ReadImage(str(source))
        image.SetOrigin([x + away for x, away in zip(image.GetOrigin(), (12.0, -7.0, 5.0), strict=True)])
        moved.append(tmp_path / f"away_{source.name}")
        sitk.WriteImage(image, str(moved[-1]))
    new = [tmp_path / "new_mr.nii.gz", tmp_path / "new_labels.nii.gz"]
    normalised.normalise(template, *moved, *new)
    found, truth = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (new[1], labels))
    assert min(dice(found, truth).values()) > 0.9
    assert sitk.ReadImage(str(new[0])).GetOrigin() == pytest.approx(sitk.ReadImage(str(template)).GetOrigin())


def test_scans_may_be_brought_to_wider_voxels(tmp_path: Path) -> None:
    data = write_boxes(tmp_path / "boxes", 1)
    old = [data / "00_mr.nii.gz", data / "00_labels.nii.gz"]
    new = [tmp_path / "mr.nii.gz", tmp_path / "labels.nii.gz"]
    coarser.coarser(*old, *new, 3.0)
    before, after = (sitk.ReadImage(str(path)) for path in (old[1], new[1]))
    assert after.GetSpacing() == (3.0, 3.0, 3.0)
    assert sitk.ReadImage(str(new[0])).GetSize() == after.GetSize() == (10, 12, 11)
    back = sitk.GetArrayFromImage(sitk.Resample(after, before, sitk.Transform(), sitk.sitkNearestNeighbor))
    assert min(dice(back, sitk.GetArrayFromImage(before)).values()) > 0.7


def test_settings_that_came_later_leave_older_lines_valid() -> None:
    assert set(SMALL.settings) == {"dataset", "train", "test", "method", "preset", "labelled", "ablation", "merged"}
    row = BY_NAME["brain-methods/pgcnet/small/1"]
    assert {"seen", "normalised", "voxel", "scored", "spacing"} <= set(row.settings)


def test_merged_structures_carry_their_first_value() -> None:
    labels = sitk.GetImageFromArray([[[0, 21, 22], [41, 7, 22]]])
    labels.SetSpacing((1.0, 2.0, 3.0))
    new = merged_labels.merged(labels, {"frontal": [21, 22], "parietal": [41]})
    assert sitk.GetArrayFromImage(new).tolist() == [[[0, 21, 21], [41, 0, 21]]]
    assert new.GetSpacing() == labels.GetSpacing()


def test_multiply_adds_of_a_convolution_are_counted() -> None:
    conv = torch.nn.Conv3d(3, 5, 3, padding=1, bias=False)
    image = torch.rand(1, 3, 6, 7, 8)
    assert network_run.multiply_adds(lambda: conv(image)) == 6 * 7 * 8 * 27 * 3 * 5


def test_a_step_moves_weights_and_a_pass_forward_does_not() -> None:
    network, images = VoxelMorph(), [torch.rand(1, 1, 16, 16, 16)] * 2
    before = [p.clone() for p in network.parameters()]
    network_run.pass_of(network, images, training=False)()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    network_run.pass_of(network, images, training=True)()
    assert not all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(
    ("method", "rounds", "phases", "left"),
    [
        ("pgcnet", 0, ["pairs joint"], None),
        ("bijros", 1, ["seg", "reg"], {"encoder"}),
        ("mmln", 2, ["level 3"], {"slice_nets"}),
    ],
)
def test_rounds_of_a_trainer_are_timed_and_move_what_they_train(
    method: str, rounds: int, phases: list[str], left: set[str] | None
) -> None:
    training = Training(method, "small", 3, (16, 16, 16), "cpu")
    assert [f"{p.name} {p.stage}".removesuffix(" turns").strip() for p in training.phases] == phases
    before = {name: p.clone() for name, p in training.model.named_parameters()}
    found = training.run(rounds)
    assert len(found) == rounds
    assert all(seconds > 0 and cpu > 0 for seconds, cpu in found)
    moved = {name.split(".")[0] for name, p in training.model.named_parameters() if not torch.equal(before[name], p)}
    assert (moved != set()) is (rounds > 0)
    assert left is None or {name.split(".")[0] for name in before} - moved == left


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_asked_as_a_run_asks_it(method: str) -> None:
    asked: list[str] = []
    model, work = inference_of(method, "small", 3, (16, 16, 16), "cpu")
    for name in ("register", "segment"):
        setattr(model, name, lambda *images, name=name: asked.append(f"{name} {len(images)}"))
    work()
    assert asked == ["register 2", *(["segment 1"] if method not in methods.REGISTERING else [])]
    assert not model.training


def test_a_whole_method_is_measured_in_its_own_process(tmp_path: Path) -> None:
    row = WholeMethod("mmln", True, (16, 16, 16), 1, Budget(threads=1))
    line = networks_run.measure(row, tmp_path, "networks a")
    assert "error" not in line, line["error"]
    assert line["row"] == "networks/mmln/step/16x16x16/cpu"
    assert line["multiply_adds"] > 1e7
    assert min(line[name] for name in ("seconds", "cpu_seconds", "peak_mb")) > 0
    assert networks_run.code_of(row) != networks_run.code_of(NETWORKS["networks"].rows[0])
    assert networks_run.times_floor(line) == line["cpu_seconds"] / line["floor_cpu_seconds"]
    older = {key: value for key, value in line.items() if "cpu" not in key}
    assert networks_run.times_floor(older) == line["seconds"] / line["floor_seconds"]
    assert "CPU s" in networks_run.summary(line)


def test_networks_without_their_device_have_no_figures(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    row = next(row for row in NETWORKS["networks"].rows if row.budget.device == "cuda")
    assert "no CUDA device" in networks_run.measure(row, tmp_path, "networks a")["error"]


def test_budgets_are_chosen_by_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--part", "few-shot", "--data", str(tmp_path)]) == 2
    assert str(tmp_path / "hippocampus") in capsys.readouterr().err
    assert json.loads(json.dumps(SMALL.settings)) == SMALL.settings
