"""Running rows of a user's help."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from . import provenance, subjects
from .guides import REFINE, UNSEEN, Guided
from .processes import StepError, run_step
from .rows import Line
from .runner import begun, failure, module_command, rounded

_SCORING_LIMIT = 600.0


def code_of(row: Guided) -> str:
    """What the row's figures depend on besides its settings."""
    return f"engine {provenance.engine_code()}"


def missing(rows: Iterable[Guided], data: Path) -> list[Path]:
    """The files that these rows need and that are not there."""
    files = set()
    for row in rows:
        for subject in (row.atlas, row.target):
            files.update({subjects.image(data, row.dataset, subject), subjects.labels(data, row.dataset, subject)})
        files.add(data / row.dataset / "labels.csv")
    return sorted(file for file in files if not file.is_file())


def seconds_of(row: Guided) -> float:
    """How long a row is expected to take."""
    return 60.0 if row.help == REFINE else 90.0


def measure(row: Guided, data: Path, code: str) -> Line:
    """Run one row; a row that fails gives a line with `error` instead of figures."""
    line = begun(row, code, provenance.commit())
    try:
        with tempfile.TemporaryDirectory(prefix="jrs-bench-") as folder:
            work = _Work(row, data.absolute(), Path(folder))
            line.update(_refined(work) if row.help == REFINE else _pinned(work, row.help == UNSEEN))
    except StepError as problem:
        line["error"] = str(problem)
    return rounded(line)


def summary(line: Line) -> str:
    """A finished row in a few words."""
    if "error" in line:
        return failure(line)
    if "cpu_share" in line:
        return (
            f"{line['cpu_seconds']:.1f} CPU s, {line['cpu_share']:.2f} of Normal's; {line['neighbours']} neighbors' "
            f"Dice {line['neighbours_before']:.4f} to {line['neighbours_after']:.4f}; {line['edits_lost']} edited "
            f"voxels lost, folding {line['folding_percent']:.4f} %"
        )
    return (
        f"{line['before_mm']:.2f} mm to {line['held_out_mm']:.2f} mm at held-out points, {line['marks_mm']:.2f} mm at "
        f"the landmarks; folding {line['folding_percent']:.4f} %"
    )


class _Work:
    """The steps of one row, in a folder of its own."""

    def __init__(self, row: Guided, data: Path, folder: Path) -> None:
        self.folder, self._budget = folder, row.budget
        self._job: dict[str, Any] = {
            **row.settings,
            "atlas": str(subjects.image(data, row.dataset, row.atlas)),
            "atlas_labels": str(subjects.labels(data, row.dataset, row.atlas)),
            "target": str(subjects.image(data, row.dataset, row.target)),
            "target_labels": str(subjects.labels(data, row.dataset, row.target)),
            "scored": subjects.scored(data, row.dataset),
            "threads": row.budget.threads,
            "device": row.budget.device,
        }

    def run(self, name: str, **more: Any) -> dict[str, Any]:
        """One run of ours into a folder of this name, what its steps and its whole process used."""
        job = {**self._job, **more, "output": str(self.folder / name)}
        limit = self._budget.limit_seconds
        outcome, used = run_step(module_command("ours_run"), job, self._budget.threads, limit, as_worker=True)
        # Writing and checks are a part of what a user waits for; imports are not, as the worker is there already.
        all_steps = sum(step["cpu_seconds"] for what, step in outcome["steps"].items() if what != "imports")
        return {**outcome, "cpu_seconds": all_steps, **{f"command_{key}": v for key, v in asdict(used).items()}}

    def step(self, module: str, **more: Any) -> dict[str, Any]:
        """The outcome of a step that is no registration."""
        found, _ = run_step(module_command(module), {**self._job, **more}, self._budget.threads, _SCORING_LIMIT)
        return found


def _refined(work: _Work) -> dict[str, Any]:
    corrections = str(work.folder / "corrections.nii.gz")
    normal = work.run("normal")
    chosen = work.step("refining", action="correct", found=normal["labels"], corrections=corrections)
    guides = {"corrections": corrections, "corrected": chosen["corrected"]}
    refined = work.run("refined", continue_from=str(work.folder / "normal"), **guides)
    scores = work.step("score", field=refined["field"], labels=refined["labels"])
    around = work.step("refining", action="score", found=normal["labels"], refined=refined["labels"], **guides)
    share = refined["cpu_seconds"] / normal["cpu_seconds"]
    used = {"normal_cpu_seconds": normal["cpu_seconds"], "cpu_share": share}
    return {**refined, **scores, **chosen, **around, **used}


def _pinned(work: _Work, unseen: bool) -> dict[str, Any]:
    mask, places = str(work.folder / "mask.nii.gz"), str(work.folder / "places.json")
    marks = {name: str(work.folder / f"{name}.mrk.json") for name in ("landmarks", "atlas_landmarks")}
    work.step("pinning", action="hide", mask=mask)
    without = work.run("without", target_mask=mask)
    begin = work.run("seen")["field"] if unseen else without["field"]
    work.step("pinning", action="place", field=begin, places=places, **marks)
    pinned = work.run("pinned", target_mask=mask, **marks)
    scores = work.step("score", field=pinned["field"], labels=pinned["labels"])
    errors = work.step("pinning", action="score", places=places, field=pinned["field"], without=without["field"])
    return {**pinned, **scores, **errors}
