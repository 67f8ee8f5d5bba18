"""Running rows of fusions: register what is not registered yet, fuse, score."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from . import peers, provenance, subjects
from .fusions import PEER, Fusing
from .parts import SLOWER, Row
from .processes import StepError, run_step
from .rows import Line
from .runner import begun, failure, module_command, rounded

REGISTERED = provenance.ROOT / "bench-results" / "registered"
"""Warped atlases by the code that warped them: many rows fuse the same ones."""
_ROOMS = (*provenance.ROOMS, "fusion")
_LIMIT = 1800.0


def code_of(row: Fusing) -> str:
    """What the row's figures depend on besides its settings."""
    ours = f"engine {provenance.engine_code(rooms=_ROOMS)}"
    found = [] if row.method == PEER and row.registered == "greedy" else [ours]
    if row.registered == "greedy":
        found.append(peers.version(_pair(row, row.atlases[0])))
    if row.method == PEER:
        found.append(peers.version(replace(_pair(row, row.atlases[0]), method="syn")))
    return ", ".join(found)


def missing(rows: Iterable[Fusing], data: Path) -> list[Path]:
    """The files that these rows need and that are not there."""
    files = set()
    for row in rows:
        for subject in (*row.atlases, row.target):
            files.update({subjects.image(data, row.dataset, subject), subjects.labels(data, row.dataset, subject)})
    return sorted(file for file in files if not file.is_file())


def seconds_of(row: Fusing) -> float:
    """How long a row is expected to take."""
    folder = _folder(row)
    left = sum(not (folder / f"{row.target}-{atlas}" / "outcome.json").is_file() for atlas in row.atlases)
    each = 80.0 if row.registered == "greedy" else 40.0
    return left * each * SLOWER.get(row.dataset, 1.0) + (1000.0 if row.method == PEER else 60.0)


def measure(row: Fusing, data: Path, code: str) -> Line:
    """Run one row; a row that fails gives a line with `error` instead of figures."""
    line = begun(row, code, provenance.commit(_ROOMS))
    try:
        folder = _folder(row)  # once: who edits the engine meanwhile must not mix two
        registered = [_registered(row, atlas, data.absolute(), folder) for atlas in row.atlases]
        with tempfile.TemporaryDirectory(prefix="jrs-bench-") as work:
            line.update(_figures(row, data.absolute(), Path(work), [place for place, _ in registered]))
    except StepError as problem:
        return {**line, "error": str(problem)}
    line["registration_cpu_seconds"] = sum(outcome["cpu_seconds"] for _, outcome in registered)
    return rounded(line)


def summary(line: Line) -> str:
    """A finished row in a few words."""
    if "error" in line:
        return failure(line)
    return (
        f"Dice {line['dice']:.4f}, fusion {line['cpu_seconds']:.1f} CPU s and {line['command_peak_mb']:.0f} MB, "
        f"registrations {line['registration_cpu_seconds']:.0f} CPU s"
    )


def _figures(row: Fusing, data: Path, folder: Path, places: list[Path]) -> dict[str, Any]:
    job: dict[str, Any] = {
        "method": row.method,
        "target": str(subjects.image(data, row.dataset, row.target)),
        "target_labels": str(subjects.labels(data, row.dataset, row.target)),
        "images": [str(place / "warped_atlas.nii.gz") for place in places],
        "maps": [str(place / "labels.nii.gz") for place in places],
        "labels": str(folder / "labels.nii.gz"),
        "threads": row.budget.threads,
    }
    ours = row.method != PEER
    command = module_command("fusion_run")
    if not ours:
        command = [str(peers.build()), str(Path(__file__).with_name("peer_fusion_run.py"))]
    outcome, used = run_step(command, job, row.budget.threads, row.budget.limit_seconds, as_worker=ours)
    scoring = {**job, "field": None, "scored": subjects.scored(data, row.dataset)}
    scores, _ = run_step(module_command("score"), scoring, row.budget.threads, _LIMIT)
    return {**outcome, **{f"command_{name}": value for name, value in asdict(used).items()}, **scores}


def _pair(row: Fusing, atlas: str) -> Row:
    """The registration of one atlas, as another part would name it."""
    method = "greedy-forward" if row.registered == "greedy" else row.registered
    return Row(row.part, row.dataset, atlas, row.target, method, budget=row.budget)


def _folder(row: Fusing) -> Path:
    """Where the atlases lie that this row's registration warped."""
    code = provenance.engine_code()
    if row.registered == "greedy":
        code = peers.version(_pair(row, row.atlases[0])).replace(" ", "-")
    return REGISTERED / f"{row.registered}-{code}" / row.dataset


def _registered(row: Fusing, atlas: str, data: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder with one atlas's warped image and labels, and what the registration used."""
    place, pair = folder / f"{row.target}-{atlas}", _pair(row, atlas)
    if (place / "outcome.json").is_file():
        return place, json.loads((place / "outcome.json").read_text(encoding="utf-8"))
    job: dict[str, Any] = {
        **pair.settings,
        "atlas": str(subjects.image(data, row.dataset, atlas)),
        "atlas_labels": str(subjects.labels(data, row.dataset, atlas)),
        "target": str(subjects.image(data, row.dataset, row.target)),
        "threads": row.budget.threads,
        "device": row.budget.device,
    }
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=place.parent) as temporary:
        work = Path(temporary)
        made = work / "made"
        if row.registered == "greedy":
            made.mkdir()
            job["field"] = str(work / "field.nrrd")
            command = [str(peers.build()), str(peers.SCRIPT)]
            outcome, _ = run_step(command, job, row.budget.threads, _LIMIT)
            run_step(module_command("carry"), {**job, "output": str(made)}, row.budget.threads, _LIMIT)
        else:
            job["output"] = str(work / "result")
            outcome, _ = run_step(module_command("ours_run"), job, row.budget.threads, _LIMIT, as_worker=True)
            made.mkdir()
            for name in ("labels.nii.gz", "warped_atlas.nii.gz"):
                shutil.move(work / "result" / name, made / name)
        kept = {key: outcome[key] for key in ("seconds", "cpu_seconds", "peak_mb")}
        (made / "outcome.json").write_text(json.dumps(kept), encoding="utf-8")
        made.rename(place)
    return place, kept
