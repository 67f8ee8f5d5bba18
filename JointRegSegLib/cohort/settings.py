"""What a cohort was begun with, so that a later call goes on with the same and with nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from ..job import Code, JobError, Request
from ..job.folders import write_whole
from ..job.request import START_AS_PLACED, START_AUTO
from .cases import Case

FILE = "cohort.json"
FORMAT = 1
_OF_THE_MACHINE = {"device", "threads", "memory_gb", "overwrite"}
_OF_THE_CASE = {"atlases", "target", "target_mask", "output"}


def settle(folder: Path, template: Request, atlases: str, model: str, cases: Iterable[Case], done: set[str]) -> None:
    """Write the settings into the cohort's folder, or compare with those that are there.

    Cases may be added and, as long as they have no result, changed. Machines, threads and memory may differ.

    Args:
        folder: the cohort's.
        template: the request that all cases share.
        atlases, model: digests of what those are.
        cases: of the cohort.
        done: ids of those that have a result.

    Raises:
        JobError: COHORT_INVALID where a setting or a finished case has changed; OUTPUT_UNWRITABLE or DISK_FULL.
    """
    settings = [field for field in fields(template) if field.name not in _OF_THE_MACHINE | _OF_THE_CASE]
    shared = {field.name: _plain(getattr(template, field.name)) for field in settings}
    shared |= {"atlases": atlases, "model": model}
    if template.start not in (START_AUTO, START_AS_PLACED):
        shared["start"] = _plain(Path(template.start))
    rows = {case.id: hashlib.sha256(repr(case.row).encode()).hexdigest() for case in cases}
    earlier = _read(folder)
    if earlier is not None:
        # A setting that the version before did not know had, in effect, its default.
        before = {**{field.name: _plain(field.default) for field in settings}, **earlier["settings"]}
        if changed := sorted(name for name in shared if before.get(name) != shared[name]):
            raise _other(
                folder, f"another value of {', '.join(changed)}", "Call with the same settings, or name another folder."
            )
        known = earlier["cases"]
        if changed := sorted(name for name in done & known.keys() & rows.keys() if known[name] != rows[name]):
            raise _other(
                folder,
                f"another row of {changed[0]}",
                f"Remove cases/{changed[0]} to compute it anew, or undo the change.",
            )
        rows = {**known, **rows}
    write_whole(folder / FILE, json.dumps({"format": FORMAT, "settings": shared, "cases": rows}, indent=1))


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}")
        _ = found["settings"].items(), found["cases"].items()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as problem:
        raise _other(folder, f"settings that cannot be read ({problem})", "Name another folder.") from problem
    return found


def _plain(value: Any) -> Any:
    """A value as JSON has it; of a path, which may tell who is shown, the digest."""
    if isinstance(value, Path):
        return hashlib.sha256(str(value).encode()).hexdigest()
    if isinstance(value, Enum):
        return value.value
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _other(folder: Path, what: str, advice: str) -> JobError:
    return JobError(Code.COHORT_INVALID, f"The cohort in {folder} was begun with {what}.", advice)
