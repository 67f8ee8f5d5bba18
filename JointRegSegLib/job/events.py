"""What the worker tells its listener: one JSON object a line, behind a prefix that no library prints."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

PREFIX = "@jointregseg "


class Kind(str, Enum):
    """What an event is about."""

    PROGRESS = "progress"
    LOG = "log"
    CAUTION = "caution"
    RESULT = "result"
    ERROR = "error"


@dataclass(frozen=True)
class Event:
    """One thing that happened during a run.

    Attributes:
        kind: what the event is about.
        message: words for a person; for an error, what is wrong.
        stage: the pipeline's step: prepare, align, register, fuse, check or write.
        fraction: of the whole run that is done, 0 to 1, or None where the event does not move it.
        eta_seconds: seconds that the run is still expected to take, or None where nobody knows yet.
        code: an error's or a caution's code.
        advice: what to do about an error.
        data: anything else; a result carries {"folder": ...}.
    """

    kind: Kind
    message: str = ""
    stage: str = ""
    fraction: float | None = None
    eta_seconds: float | None = None
    code: str = ""
    advice: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    def encode(self) -> str:
        """The event as one line, prefix included, without a line break."""
        filled = {key: value for key, value in asdict(self).items() if value not in (None, "", {})}
        filled["kind"] = self.kind.value
        return PREFIX + json.dumps(filled, ensure_ascii=True)

    @classmethod
    def decode(cls, line: str) -> Event | None:
        """The event in a line of the worker's output, or None where the line is no event."""
        if not line.startswith(PREFIX):
            return None
        try:
            fields = json.loads(line[len(PREFIX) :])
            return cls(**{**fields, "kind": Kind(fields["kind"])})
        except (ValueError, KeyError, TypeError):
            return None
