"""The command `evaluate --model`: pairs, records, tables, and figures with known values."""

from __future__ import annotations

import csv
import json
import mmap
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from JointRegSegLib import cli
from JointRegSegLib.job import Code, JobError
from JointRegSegLib.pipeline.trained import TrainedModel
from JointRegSegLib.study import evaluate as evaluate_module
from JointRegSegLib.study.evaluate import Arm, Record
from JointRegSegLib.study.peak import PeakMemory
from JointRegSegLib.study.tables import MEAN, cells, draw, markdown, write_tables
from JointRegSegLib.study.train import Trained
from JointRegSegLib.training.card import Card, load_card
from Testing.engine.model_cases import trained_on_boxes
from Testing.rig.need import need


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return trained_on_boxes(tmp_path_factory.mktemp("trained"))


def _command(trained: Trained, output: Path, *more: str) -> list[str]:
    data = trained.model.parents[1] / "data"
    named = ["evaluate", "--model", str(trained.model), "--data", str(data), "--output", str(output)]
    return [*named, "--quality", "fast", "--start", "as-placed", "--device", "cpu", "--threads", "1", *more]


def test_all_four_are_measured_on_every_pair(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need("matplotlib")
    assert cli.main(_command(trained, tmp_path / "out", "--split", "val")) == 0
    said = capsys.readouterr()
    assert "[  0%] evaluate: pair 1 of 4" in said.err
    assert "| method, refined by images and segmentation |" in said.out
    lines = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    found = [(line["atlas"], line["target"], line["arm"]) for line in lines]
    assert found == [(a, t, arm.value) for a in ("00", "01") for t in ("04", "05") for arm in Arm]
    for line in lines:
        sources = {"registration"} if line["arm"] == "optimisation" else {"registration", "segmentation", "fused"}
        assert set(line["dice"]) == set(line["hd95"]) == sources
        assert set(line["dice"]["registration"]) == {"left box", "right box"}
        assert all(0 <= value <= 1 for score in line["dice"].values() for value in score.values())
        assert set(line["figures"]) - {"peak MB"} == {
            *("folding", "negative", "std(Jac)", "SDlogJ", "TC", "NCC", "lncc2_w9", "seconds")
        }
        assert ("peak MB" in line["figures"]) == sys.platform.startswith("linux")
        assert 30 < line["figures"].get("peak MB", 31) < 1e6
        assert 0 <= line["figures"]["negative"] <= line["figures"]["folding"]
        assert line["figures"]["seconds"] > 0
        assert 0.5 < line["figures"]["TC"] < 2
    best = [line["figures"]["NCC"] for line in lines if line["arm"] == "optimisation"]
    alone = [line["figures"]["NCC"] for line in lines if line["arm"] == "none"]
    assert np.mean(best) > np.mean(alone)  # a network of a few steps moves nothing
    local = {
        arm: np.mean([x["figures"]["lncc2_w9"] for x in lines if x["arm"] == arm]) for arm in ("optimisation", "none")
    }
    assert 0 < local["none"] < local["optimisation"] < 1
    segmented = {line["target"]: [] for line in lines}
    for line in lines:
        if "segmentation" in line["dice"]:
            segmented[line["target"]].append(line["dice"]["segmentation"])
    assert all(score == scores[0] for scores in segmented.values() for score in scores)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dice.png",
        "records.jsonl",
        "study.json",
        "table.csv",
        "table.md",
    ]


def test_chosen_arms_and_atlases_alone(trained: Trained, tmp_path: Path) -> None:
    more = ["--split", "val", "--atlases", "1", "--refine", "none", "--refine", "optimisation", "--quiet"]
    assert cli.main(_command(trained, tmp_path / "out", *more)) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    assert [(line["atlas"], line["arm"]) for line in lines] == 2 * [("00", "none"), ("00", "optimisation")]


def test_seconds_are_of_a_warm_run(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first call of anything needs longer is in no record: each arm and the network, told apart by a wait."""
    waited = {"propose": 3.0, "register": 3.0}

    def slow_at_first(name: str, real: Any) -> Any:
        def called(*given: Any) -> Any:
            time.sleep(waited.pop(name, 0.0))
            return real(*given)

        return called

    monkeypatch.setattr(evaluate_module, "register_step", slow_at_first("register", evaluate_module.register_step))
    monkeypatch.setattr(TrainedModel, "propose", slow_at_first("propose", TrainedModel.propose))
    more = ["--split", "val", "--atlases", "1", "--refine", "none", "--refine", "images", "--quiet"]
    assert cli.main(_command(trained, tmp_path / "out", *more)) == 0
    assert waited == {}
    lines = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    assert all(line["figures"]["seconds"] < 2.5 for line in lines)


def test_the_network_is_warmed_up_where_the_first_pair_lacks_the_optimisation_alone(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ["--split", "val", "--atlases", "1", "--refine", "none", "--refine", "optimisation", "--quiet"]
    assert cli.main(_command(trained, tmp_path / "out", *more)) == 0
    records = tmp_path / "out" / "records.jsonl"
    records.write_text(records.read_text().splitlines()[0] + "\n")
    calls = []
    real = TrainedModel.propose

    def counted(*given: Any) -> Any:
        calls.append(given)
        return real(*given)

    monkeypatch.setattr(TrainedModel, "propose", counted)
    assert cli.main(_command(trained, tmp_path / "out", *more)) == 0
    assert len(calls) == 2  # once to warm up and once for the second pair


def test_an_evaluation_that_was_broken_off_goes_on(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = tmp_path / "out" / "records.jsonl"
    more = ["--split", "val", "--atlases", "1", "--refine", "none", "--refine", "optimisation"]
    assert cli.main(_command(trained, tmp_path / "out", *more, "--quiet")) == 0
    whole = records.read_text().splitlines()
    marked = Record.from_json(whole[0].replace('"seconds": ', '"seconds": 1'))  # kept, not measured again
    assert len(whole) == 4
    records.write_text(f"{marked.to_json()}\n{whole[1]}\n{whole[2]}\n{whole[3][:40]}")
    (tmp_path / "out" / "table.csv").unlink()
    capsys.readouterr()
    assert cli.main(_command(trained, tmp_path / "out", *more)) == 0
    said = capsys.readouterr().err
    assert "pair 2 of 2" in said
    assert "pair 1 of 2" not in said
    lines = records.read_text().splitlines()
    assert lines[:3] == [marked.to_json(), *whole[1:3]]
    assert json.loads(lines[3])["dice"] == json.loads(whole[3])["dice"]
    assert (tmp_path / "out" / "table.csv").exists()
    for other in (["--quality", "normal"], ["--atlases", "2"], ["--refine", "images"]):
        assert cli.main(_command(trained, tmp_path / "out", *more, *other)) == 2
        assert "error [output-exists]" in capsys.readouterr().err
    assert records.read_text().splitlines() == lines


def test_a_picture_without_its_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(JobError, match=r"needs matplotlib.*'jointregseg\[report\]'") as caught:
        draw(tmp_path / "dice.png", _records({"one": 1.0}))
    assert caught.value.code is Code.EXTRA_MISSING


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record("a", "b", "none", {"fused": {"one": 0.5}}, {"fused": {"one": float("nan")}}, {"NCC": 1.0})
    assert repr(Record.from_json(record.to_json())) == repr(record)


def test_what_cannot_be_evaluated_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "records.jsonl").touch()
    cases: list[tuple[Path, list[str], Code]] = [
        (tmp_path / "new", [], Code.DATA_INVALID),  # no scan is for testing
        (tmp_path / "new", ["--split", "val", "--atlases", "0"], Code.DATA_INVALID),
        (tmp_path / "new", ["--model", str(tmp_path / "none")], Code.MODEL_MISSING),
        (tmp_path / "old", ["--split", "val"], Code.OUTPUT_EXISTS),
    ]
    for output, more, code in cases:
        assert cli.main(_command(trained, output, *more)) == 2
        assert f"error [{code.value}]: " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    for words in (["--model", "m"], ["--labels", "l"], []):
        with pytest.raises(SystemExit):
            cli.main(["evaluate", *words])


def test_a_model_that_was_trained_without_labels_asks_how_many_atlases(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlabelled(model: Path) -> Card:
        card = load_card(model)
        return replace(card, training=card.training | {"labelled": 0})

    monkeypatch.setattr(evaluate_module, "load_card", unlabelled)
    assert cli.main(_command(trained, tmp_path / "out", "--split", "val")) == 2
    assert "Give --atlases" in capsys.readouterr().err


def _records(*distances: dict[str, float]) -> list[Record]:
    """One for each pair, with these HD95 and what else does not matter."""
    overlaps = {"registration": {"one": 0.5, "two": 0.5}}
    return [Record("a", str(n), "none", overlaps, {"registration": d}) for n, d in enumerate(distances)]


def test_a_structure_that_is_never_found_is_counted_as_missing(tmp_path: Path) -> None:
    nan = float("nan")
    records = _records({"one": 2.0, "two": nan}, {"one": 4.0, "two": nan}, {"one": nan, "two": nan})
    text = markdown(cells(records))
    assert "| method alone | 0.500 ± 0.000 | 3.000 ± 1.000 (4 of 6 missing) |" in text
    table = text.split("HD95, registration:\n\n")[1].splitlines()
    assert table[0] == "|  | one | two |"
    assert table[2] == "| method alone | 3.000 ± 1.000 (1 of 3 missing) | - (3 of 3 missing) |"
    write_tables(tmp_path, records)
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        found = {(r["figure"], r["structure"]): (r["pairs"], r["missing"], r["values"]) for r in csv.DictReader(file)}
    assert found["registration HD95", MEAN] == ("2", "4", "6")
    assert found["registration HD95", "two"] == ("0", "3", "3")
    assert found["registration Dice", MEAN] == ("3", "0", "6")


def test_tables_say_once_which_hd95_they_hold_and_nothing_of_missing_where_none_is() -> None:
    text = markdown(cells(_records({"one": 2.0, "two": 4.0})))
    assert text.count("the larger of the two directed 95th percentiles") == 1
    assert text.index("method alone") < text.index("directed") < text.index("Dice, registration")
    assert "| method alone | 0.500 ± 0.000 | 3.000 ± 0.000 |" in text
    assert " missing)" not in text
    assert "directed" not in markdown(cells([Record("a", "b", "none", {}, {}, {"NCC": 1.0})]))


def test_records_of_an_earlier_version_are_tabulated_beside_newer_ones() -> None:
    old = Record.from_json('{"atlas": "a", "target": "b", "arm": "none", "figures": {"NCC": 0.5, "seconds": 1.0}}')
    new = replace(
        old, target="c", arm="images", figures={"NCC": 0.5, "lncc2_w9": 0.25, "seconds": 1.0, "peak MB": 600.0}
    )
    assert markdown(cells([old])).startswith("|  | NCC | seconds |\n")
    lines = markdown(cells([old, new])).splitlines()
    assert lines[0] == "|  | NCC | seconds | lncc2_w9 | peak MB |"
    assert lines[2] == "| method alone | 0.500 ± 0.000 | 1.000 ± 0.000 | - | - |"
    assert lines[3].endswith("| 0.250 ± 0.000 | 600.000 ± 0.000 |")


def test_a_peak_is_of_its_own_stretch(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux forgets a peak")
    memory = PeakMemory(torch.device("cpu"))
    memory.begin()
    block = mmap.mmap(-1, 300_000_000)  # goes back at once when it is closed
    block.write(b"1" * 300_000_000)
    block.close()
    with_block = memory.megabytes()
    memory.begin()
    assert with_block - memory.megabytes() > 250
    (tmp_path / "self").mkdir()
    elsewhere = PeakMemory(torch.device("cpu"), tmp_path)
    elsewhere.begin()
    assert np.isnan(elsewhere.megabytes())
    assert not (tmp_path / "self" / "clear_refs").exists()


def test_local_correlation_knows_no_scale_and_needs_contrast() -> None:
    scan = np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float32)
    alike = evaluate_module._lncc2(scan, 300 * scan - 40)
    assert 0.95 < alike <= 1
    assert evaluate_module._lncc2(scan, scan[::-1].copy()) < 0.5  # at the border windows see where the scans end
    assert np.isnan(evaluate_module._lncc2(scan, np.zeros_like(scan)))


def test_tables_hold_means_and_deviations_over_pairs(tmp_path: Path) -> None:
    nan = float("nan")
    records = [
        Record("a", "x", "none", {"registration": {"one": 0.5, "two": 0.7}}, {"registration": {"one": 2, "two": 4}}),
        Record("a", "y", "none", {"registration": {"one": 0.7, "two": 0.9}}, {"registration": {"one": 6, "two": nan}}),
    ]
    records = [Record(r.atlas, r.target, r.arm, r.dice, r.hd95, {"NCC": n}) for n, r in enumerate(records)]
    found = {(cell.figure, cell.structure): (cell.mean, cell.std, cell.n) for cell in cells(records)}
    assert found["registration Dice", MEAN] == pytest.approx((0.7, 0.1, 2))
    assert found["registration Dice", "one"] == pytest.approx((0.6, 0.1, 2))
    assert found["registration HD95", MEAN] == pytest.approx((4.5, 1.5, 2))
    assert found["registration HD95", "two"] == pytest.approx((4, 0, 1))
    assert found["NCC", ""] == pytest.approx((0.5, 0.5, 2))
    write_tables(tmp_path, records)
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        rows = {(row["figure"], row["structure"]): row for row in csv.DictReader(file)}
    assert (rows["registration HD95", "two"]["arm"], rows["registration HD95", "two"]["pairs"]) == ("none", "1")
    text = markdown(cells(records))
    assert "| method alone | 0.700 ± 0.100 | 4.500 ± 1.500 (1 of 4 missing) | 0.500 ± 0.500 |" in text
    assert (
        "Dice, registration:\n\n|  | one | two |\n| --- | --- | --- |\n| method alone | 0.600 ± 0.100 | 0.800 ± 0.100 |"
        in text
    )
    newer = Record("a", "z", "none", {}, {}, {"NCC": 3.0, "negative": 0.5})
    means = {cell.figure: (cell.mean, cell.n) for cell in cells([*records, newer]) if not cell.structure}
    assert means == {"NCC": (pytest.approx(4 / 3), 3), "negative": (0.5, 1)}
    assert "null" in Record("a", "b", "none", {}, {"registration": {"one": nan}}).to_json()
