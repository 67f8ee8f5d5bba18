"""Cohorts of made-up targets for `Testing.engine.cohort_worker`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from JointRegSegLib.cohort.cases import read_cases
from JointRegSegLib.cohort.run import Cohort
from JointRegSegLib.job import Atlas, Request
from Testing.engine.cohort_worker import starts

WORKER = "Testing.engine.cohort_worker"


def a_cohort(folder: Path, targets: dict[str, dict[str, Any] | None], **changes: Any) -> Cohort:
    """A cohort whose targets do what they are told; None for a target that does not exist. Output in `folder/out`."""
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    for case, told in targets.items():
        if told is not None:
            (folder / "scans" / case).write_text(json.dumps(told), encoding="utf-8")
    with (folder / "cohort.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "target"), *((case, f"scans/{case}") for case in targets)])
    template = Request((Atlas(Path("a.nii"), Path("l.nii")),), Path(), folder / "out")
    cases, _ = read_cases(folder / "cohort.csv")
    return Cohort(folder / "out", cases, template, **{"reports": False, "worker": WORKER, **changes})


def attempts(folder: Path, case: str) -> int:
    """How often a case was begun."""
    return len(starts(folder / "scans" / case))


def table(folder: Path) -> dict[str, dict[str, str]]:
    """The status table by id."""
    with (folder / "out" / "status.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}
