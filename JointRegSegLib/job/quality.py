"""The quality table of a run: what was measured, in words and numbers that the panel, the shell and files share."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any


class Status(str, Enum):
    """How a measure stands against its limits."""

    GOOD = "good"
    LOOK = "look"
    BAD = "bad"
    NONE = ""


@dataclass(frozen=True)
class Measure:
    """One number about the registration: `key` is for programs, `name` for people."""

    key: str
    name: str
    value: float
    unit: str = ""
    status: Status = Status.NONE


@dataclass(frozen=True)
class LabelVolume:
    """One structure in the target.

    Attributes:
        value, name: of the label.
        voxels, volume_ml: how large it is.
        confidence: mean share of the votes that the label has in its voxels, 0 to 1, where several voted.
        review: share of its voxels that should be looked at, 0 to 1, likewise.
    """

    value: int
    name: str
    voxels: int
    volume_ml: float
    confidence: float | None = None
    review: float | None = None


@dataclass(frozen=True)
class StepCost:
    """What one pipeline step took: wall seconds, CPU seconds and the process's peak memory in MB when it ended."""

    step: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Caution:
    """Something the user should know about a result: a code for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True)
class QualityTable:
    """Everything measured about one run."""

    measures: tuple[Measure, ...] = ()
    labels: tuple[LabelVolume, ...] = ()
    steps: tuple[StepCost, ...] = ()
    cautions: tuple[Caution, ...] = ()

    def measure(self, key: str) -> float:
        """The value of the measure with this key; `KeyError` where there is none."""
        for measure in self.measures:
            if measure.key == key:
                return measure.value
        raise KeyError(key)

    @property
    def overall(self) -> Status:
        """The worst status among the measures; a caution counts as LOOK."""
        found = {measure.status for measure in self.measures}
        if Status.BAD in found:
            return Status.BAD
        return Status.LOOK if Status.LOOK in found or self.cautions else Status.GOOD

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The table as (group, name, value, unit, status) text rows, for CSV files, tables and shells."""
        found = [("registration", m.name, f"{m.value:.6g}", m.unit, m.status.value) for m in self.measures]
        found += [("label", f"{v.value} {v.name}", f"{v.volume_ml:.6g}", "ml", "") for v in self.labels]
        for v in self.labels:
            if v.confidence is not None and v.review is not None:
                found.append(("confidence", f"{v.value} {v.name}", f"{v.confidence:.3f}", "", ""))
                found.append(("to look at", f"{v.value} {v.name}", f"{100 * v.review:.1f}", "%", ""))
        for step in self.steps:
            found.append(("seconds", step.step, f"{step.seconds:.3f}", "s", ""))
            found.append(("CPU seconds", step.step, f"{step.cpu_seconds:.3f}", "s", ""))
            found.append(("peak memory", step.step, f"{step.peak_mb:.0f}", "MB", ""))
        return found + [("caution", c.code, c.message, "", Status.LOOK.value) for c in self.cautions]

    def to_csv(self) -> str:
        """The rows as CSV text with a header line."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("group", "name", "value", "unit", "status"))
        writer.writerows(self.rows())
        return text.getvalue()

    def to_json(self) -> str:
        """The table as JSON text."""
        return json.dumps(asdict(self), indent=2, default=lambda value: value.value)

    @classmethod
    def from_json(cls, text: str) -> QualityTable:
        """The table in a text of `to_json`; `ValueError`, `KeyError` or `TypeError` where it is no such text."""
        fields: dict[str, list[dict[str, Any]]] = json.loads(text)
        return cls(
            measures=tuple(Measure(**{**m, "status": Status(m["status"])}) for m in fields["measures"]),
            labels=tuple(LabelVolume(**v) for v in fields["labels"]),
            steps=tuple(StepCost(**s) for s in fields["steps"]),
            cautions=tuple(Caution(**c) for c in fields["cautions"]),
        )
