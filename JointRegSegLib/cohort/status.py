"""The table of how each case stands, on disk whole at every moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..job.folders import write_whole
from .task import Outcome, State

TABLE = "status.csv"
_COLUMNS = ("id", "state", "code", "message", "seconds", "attempts")


@dataclass(frozen=True)
class Record:
    """One row: an outcome's words, the seconds of the last attempt, and how many attempts there were."""

    id: str
    state: State = State.WAITING
    code: str = ""
    message: str = ""
    seconds: float = 0.0
    attempts: int = 0


class Status:
    """The records of a cohort in its order; every change is written at once.

    Args:
        folder: the cohort's.
        ids: of its cases. What an earlier table says of them is kept.
    """

    def __init__(self, folder: Path, ids: Iterable[str]) -> None:
        self._path = folder / TABLE
        earlier = _read(self._path)
        self._records = {case: earlier.get(case, Record(case)) for case in ids}

    @property
    def records(self) -> tuple[Record, ...]:
        """All rows."""
        return tuple(self._records.values())

    def of(self, case: str) -> Record:
        """The row of a case."""
        return self._records[case]

    def found(self, case: str, done: bool) -> None:
        """Say whether a case's result is there; not written before `write` or the next change."""
        record = self._records[case]
        if done != (record.state is State.DONE) or record.state is State.RUNNING:
            state = State.DONE if done else State.WAITING
            record = replace(record, state=state, code="", message="")
        self._records[case] = record

    def started(self, case: str) -> None:
        """A case is being computed."""
        record = self._records[case]
        self._records[case] = Record(case, State.RUNNING, attempts=record.attempts + 1)
        self.write()

    def ended(self, outcome: Outcome) -> None:
        """A case ended."""
        # A cluster does not tell when it starts a case.
        attempts = max(self._records[outcome.id].attempts, 1)
        self._records[outcome.id] = Record(
            outcome.id, outcome.state, outcome.code, outcome.message, outcome.seconds, attempts
        )
        self.write()

    def write(self) -> None:
        """Put the table on disk; `JobError` OUTPUT_UNWRITABLE or DISK_FULL."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for r in self._records.values():
            writer.writerow((r.id, r.state.value, r.code, r.message, f"{r.seconds:.1f}", r.attempts))
        write_whole(self._path, text.getvalue())


def _read(path: Path) -> dict[str, Record]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            row["id"]: Record(
                row["id"],
                State(row["state"]),
                row["code"],
                row["message"],
                float(row["seconds"]),
                int(row["attempts"]),
            )
            for row in rows
        }
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}  # the results themselves say what is done; the table only counts attempts
