"""Running rows of trained methods: the commands `train` and `evaluate --model`, and the figures in one line."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from JointRegSegLib import methods
from JointRegSegLib.training.card import load_card

from . import provenance, subjects
from .processes import StepError, run_command, run_step
from .rows import Line
from .runner import begun, failure, module_command, rounded
from .studies import Study

WORK = provenance.ROOT / "bench-results"
METHOD = "none"
ALONE = "optimisation"
REFINED = ("images", "joint", ALONE)
FIGURES = ("folding", "SDlogJ", "NCC", "seconds")
Listed = tuple[Path, Path | None, str]
_SECONDS_A_PAIR = {"oasis": 45.0}
_OTHERWISE = 30.0
_SLACK = 900.0


def code_of(row: Study) -> str:
    """What the row's figures depend on besides its settings."""
    return f"engine {provenance.engine_code(rooms=provenance.TRAINED_ROOMS)}"


def missing(rows: Iterable[Study], data: Path) -> list[Path]:
    """The folders of these rows' data sets that do not hold as many labelled scans as they train and test on."""
    needed = {row.dataset: row.train + row.test + 1 for row in rows}
    return [data / name for name, least in needed.items() if len(subjects.labelled(data, name)) < least]


def seconds_of(row: Study) -> float:
    """How long a row is expected to take."""
    pairs = row.test + (row.budget.refined * len(REFINED) if row.joint else 0)
    return 60.0 * row.budget.train_minutes + _SECONDS_A_PAIR.get(row.dataset, _OTHERWISE) * pairs


def measure(row: Study, data: Path, code: str) -> Line:
    """Run one row; a row that fails gives a line with `error` instead of figures.

    Everything that it makes stays in a folder below `bench-results`: a row that was killed goes on from there.
    """
    line = begun(row, code, provenance.commit(provenance.TRAINED_ROOMS))
    try:
        line.update(_figures(row, data.absolute(), folder_of(row, code)))
    except StepError as problem:
        line["error"] = str(problem)
    return line


def summary(line: Line) -> str:
    """A finished row in a few words."""
    if "error" in line:
        return failure(line)
    found = {source: mean(scores.values()) for source, scores in line["dice"][METHOD].items()}
    words = ", ".join(f"{source} Dice {value:.4f}" for source, value in found.items())
    return f"{words}, {line['steps']} steps in {line['minutes']:.1f} min"


def folder_of(row: Study, code: str) -> Path:
    """Where a row's training, model and records are."""
    return WORK / row.part / "-".join((*row.name.split("/")[1:], row.key, code.split()[-1]))


def _shared_folder(row: Study, folder: Path) -> Path:
    """Where the optimisation's own records lie, which knows no method: one folder for all rows on the same scans."""
    same = {**row.settings, "refined": row.budget.refined, "threads": row.budget.threads, "device": row.budget.device}
    own = ("method", "preset", "labelled", "ablation")
    scans = hashlib.sha256(json.dumps({k: v for k, v in same.items() if k not in own}).encode()).hexdigest()[:12]
    return folder.parent / f"{ALONE}-{scans}-{folder.name.split('-')[-1]}"


def _figures(row: Study, data: Path, folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "trained" / "model.safetensors"
    preset = _preset(row, data, folder)
    listed = _subjects(row, data, folder, preset)
    every = _write_subjects(folder / "subjects.csv", listed)
    if not model.is_file():
        learnt = _write_subjects(folder / "training.csv", _learnt(row, listed, folder))
        _jointregseg(row, folder, "train", [
            "--method", row.method, "--preset", str(preset), "--labelled", str(row.labelled),
            "--data", str(learnt), "--output", str(model.parent), "--max-minutes", f"{row.budget.train_minutes:g}",
            "--resume",
        ])  # fmt: skip
    records = _evaluate(row, folder, folder / "scores", model, every, [METHOD])
    if row.joint:
        tested = [line for line in listed if line[2] == "test"]
        few = _write_subjects(
            folder / "refined.csv", [line for line in listed if line not in tested[row.budget.refined :]]
        )
        records += _evaluate(row, folder, folder / "refined", model, few, [arm for arm in REFINED if arm != ALONE])
        records += _evaluate(row, folder, _shared_folder(row, folder), model, few, [ALONE])
    card = load_card(model)
    trained = {"steps": int(card.training["steps"]), "minutes": card.training["minutes"], "validation": card.scores}
    return rounded({**trained, **collected(records, row.dataset)})


def _subjects(row: Study, data: Path, folder: Path, preset: Path) -> list[Listed]:
    """The scan, label map and split of every subject, its labels those that the preset names where they are chosen."""
    ids = subjects.labelled(data, row.dataset)
    images = [subjects.image(data, row.dataset, name) for name in ids]
    labels = [subjects.labels(data, row.dataset, name) for name in ids]
    if row.merged or row.scored:
        (folder / "labels").mkdir(exist_ok=True)
        files = [(str(file), str(folder / "labels" / file.name)) for file in labels]
        run_step(module_command("merged_labels"), {"preset": str(preset), "files": files}, 1, _SLACK)
        labels = [Path(new) for _, new in files]
    if row.voxel:
        (folder / "coarser").mkdir(exist_ok=True)
        news = [[folder / "coarser" / file.name for file in pair] for pair in zip(images, labels, strict=True)]
        pairs = zip(images, labels, news, strict=True)
        jobs = [[str(path) for path in (image, label, *new)] for image, label, new in pairs]
        run_step(module_command("coarser"), {"mm": row.voxel, "files": jobs}, 1, _SLACK)
        images, labels = ([new[column] for new in news] for column in (0, 1))
    splits = ["train"] * row.train + ["test"] * row.test + ["val"] * (len(ids) - row.train - row.test)
    return list(zip(images, labels, splits, strict=True))


def _learnt(row: Study, listed: list[Listed], folder: Path) -> list[Listed]:
    """The subjects as they train: normalised where the row says so, and what is tested without labels or not at all."""
    if row.normalised:
        listed = _normalised(listed, folder.parent / f"normalised-{folder.name.split('-')[-1]}")
    if row.seen:
        return [(image, None, "train") if split == "test" else (image, label, split) for image, label, split in listed]
    return listed


def _normalised(listed: list[Listed], folder: Path) -> list[Listed]:
    """The subjects on the first one's grid; their files serve all rows of this code."""
    folder.mkdir(exist_ok=True)
    new: list[Listed] = []
    for image, label, split in listed:
        assert label is not None
        new.append((folder / image.name, folder / label.name, split))
    files = [[str(path) for path in (*old[:2], *copy[:2])] for old, copy in zip(listed, new, strict=True)]
    job = {"template": str(listed[0][0]), "files": files}
    run_step(module_command("normalised"), job, 1, _SLACK + 60.0 * len(files))
    return new


def _write_subjects(file: Path, listed: list[Listed]) -> Path:
    """The subjects as `train` and `evaluate` read them; `train` hides the labels of all but a few itself."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("image", "label", "split"))
        writer.writerows(listed)
    return file


def _preset(row: Study, data: Path, folder: Path) -> Path:
    """The row's preset, with an ablation's own lines and what the row asks of the data upon it."""
    known = methods.presets(row.method)
    asked = [f"[data]\nspacing = {[row.spacing] * 3}"] if row.spacing else []
    if row.scored:
        named = subjects.named(data, row.dataset)
        asked += ["[data.structures]", *(f"{json.dumps(name)} = [{value}]" for name, value in named.items())]
    if not row.ablation and not asked:
        return known[row.preset]
    switched = known[row.ablation].read_text(encoding="utf-8").splitlines() if row.ablation else []
    own = [text for text in switched if not text.startswith("base")]
    file = folder / "preset.toml"
    file.write_text("\n".join([f"base = {json.dumps(str(known[row.preset]))}", *own, *asked, ""]), encoding="utf-8")
    return file


def _evaluate(row: Study, work: Path, folder: Path, model: Path, data: Path, arms: list[str]) -> list[dict[str, Any]]:
    """The records of these arms, from one atlas to every test subject; those that are whole in `folder` are kept."""
    if not folder.is_dir():
        partial = work / f"{folder.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        chosen = [word for arm in arms for word in ("--refine", arm)]
        command = ["--model", str(model), "--data", str(data), "--output", str(partial), "--atlases", "1", *chosen]
        command += ["--quality", row.quality]
        _jointregseg(row, work, "evaluate", command)
        try:
            partial.rename(folder)
        except OSError:  # of rows side by side another may have made it meanwhile
            if not folder.is_dir():
                raise
    return [json.loads(text) for text in (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()]


def _jointregseg(row: Study, folder: Path, command: str, words: list[str]) -> None:
    budget = ["--threads", str(row.budget.threads), "--device", row.budget.device]
    limit = 2 * seconds_of(row) + _SLACK
    program = [sys.executable, "-m", "JointRegSegLib.cli", command, *words, *budget]
    run_command(program, folder / f"{command}.log", row.budget.threads, limit, as_worker=True)


def collected(records: Iterable[dict[str, Any]], dataset: str) -> dict[str, Any]:
    """`dice`: arm -> source of labels -> subject -> mean over structures; `figures`: arm -> name -> subject."""
    dice: dict[str, dict[str, dict[str, float]]] = {}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for record in records:
        arm, target = record["arm"], subjects.of_image(Path(record["target"]), dataset)
        for source, scores in record["dice"].items():
            dice.setdefault(arm, {}).setdefault(source, {})[target] = mean(scores.values())
        for name in FIGURES:
            figures.setdefault(arm, {}).setdefault(name, {})[target] = record["figures"][name]
    return {"dice": dice, "figures": figures}
