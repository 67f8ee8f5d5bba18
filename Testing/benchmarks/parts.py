"""What can be measured: named parts, each a list of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

OURS = ("normal", "fast", "accurate")
PEERS = {
    "greedy-1": "greedy",
    "greedy-2": "greedy",
    "greedy-forward": "greedy",
    "syn": "antspyx",
    "convexadam": "convexAdam",
}
GREEDY_AFFINE = "-a -dof 12 -m NCC 4x4x4 -ia-image-centers -n 100x50x10"
GREEDY_DEFORMABLE = "-m NCC 4x4x4 -n 100x50x10"
CONVEXADAM_VOXEL_MM = 2.0
# Typical seconds of a row of the brain part on two cores, to know whether one still fits into the time that is left.
SECONDS = {"normal": 45, "fast": 30, "accurate": 80, "greedy-1": 75, "greedy-2": 75, "greedy-forward": 55, "syn": 60}
SECONDS["convexadam"] = 25
SLOWER = {"abdomen_ct": 4.0}
"""How many times as long the scans of a data set take."""


class AnyRow(Protocol):
    """What is measured as one: `key` tells a measurement from one with other settings or another budget."""

    @property
    def part(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> dict[str, object]: ...
    @property
    def budget(self) -> Any: ...
    @property
    def key(self) -> str: ...


def key_of(settings: dict[str, object], budget: Any) -> str:
    """Hash of settings and budget: a line with another key is another measurement."""
    text = json.dumps({"settings": settings, "budget": asdict(budget)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Budget:
    """What one row may use."""

    threads: int = 2
    device: str = "cpu"
    limit_seconds: int = 1800


@dataclass(frozen=True)
class Row:
    """One registration that is measured.

    Attributes:
        part: the part it belongs to.
        dataset: folder below the data folder.
        atlas, target: subjects of that folder.
        method: one of `OURS` (a quality) or of `PEERS`.
        change: what is done to the target first, a name in `changes.CHANGES`; empty for nothing.
        similarity: what ours compares with.
        budget: what the row may use.
    """

    part: str
    dataset: str
    atlas: str
    target: str
    method: str
    change: str = ""
    similarity: str = "auto"
    budget: Budget = Budget()

    @property
    def pair(self) -> str:
        """Atlas, target and what was done to it, for tables."""
        return f"{self.dataset} {self.atlas} to {self.target}" + (f", {self.change}" if self.change else "")

    @property
    def label(self) -> str:
        """The method and, where it was chosen, its similarity, for tables."""
        return self.method + (f" ({self.similarity})" if self.similarity != "auto" else "")

    @property
    def name(self) -> str:
        """One word that tells this row from all others."""
        words = (self.part, self.dataset, f"{self.atlas}-{self.target}", self.change, self.method)
        chosen = self.similarity if self.similarity != "auto" else ""
        return "/".join(word.replace(" ", "-") for word in (*words, chosen) if word)

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides the row's figures besides the code and the machine."""
        settings: dict[str, object] = {k: v for k, v in asdict(self).items() if k not in ("part", "budget")}
        if PEERS.get(self.method) == "greedy":
            inverse = "" if self.method == "greedy-forward" else " -oinv"
            settings["commands"] = [GREEDY_AFFINE, GREEDY_DEFORMABLE + inverse]
        if self.method == "convexadam":
            settings.update(commands=[GREEDY_AFFINE], voxel_mm=CONVEXADAM_VOXEL_MM)
        return settings

    @property
    def key(self) -> str:
        """Of settings and budget."""
        return key_of(self.settings, self.budget)


@dataclass(frozen=True)
class Part:
    """A named list of rows."""

    name: str
    about: str
    minutes: int
    rows: tuple[Any, ...]


ABDOMENS = [(f"{(n - 1) % 12:02}", f"{n:02}") for n in range(12)]
"""Every subject is a target once; its atlas is the one before it by id, the last one for the first."""
BRAINS = [(atlas, target) for atlas in ("1000", "1007") for target in ("1010", "1012", "1014", "1015")]
CROPS = ("136", "138", "141", "142", "143")


def _brain(name: str, methods: tuple[str, ...]) -> tuple[Row, ...]:
    return tuple(Row(name, "oasis", a, t, method) for method in methods for a, t in BRAINS)


def _contrast() -> tuple[Row, ...]:
    rows = []
    for dataset, atlas, target in (("oasis", "1000", "1010"), ("abdomen_ct", "00", "01")):
        rows.append(Row("contrast", dataset, atlas, target, "normal"))
        for similarity in ("auto", "mind", "mi"):
            rows.append(Row("contrast", dataset, atlas, target, "normal", "other contrast", similarity))
    return tuple(rows)


def _robust() -> tuple[Row, ...]:
    return tuple(
        Row("robust", "oasis", "1000", "1010", "normal", change)
        for change in ("", "40 mm offset", "60 degree rotation")
    )


_BUILDERS: tuple[tuple[str, str, int, Callable[[], tuple[Row, ...]]], ...] = (
    (
        "brain",
        "the short part: 8 pairs of skull-stripped T1 brains, the three qualities beside greedy (twice) and SyN",
        40,
        lambda: _brain("brain", ("normal", "fast", "accurate", "greedy-1", "syn", "greedy-2")),
    ),
    (
        "greedy-forward",
        "the same pairs with greedy's forward field only: what its inverse costs",
        8,
        lambda: _brain("greedy-forward", ("greedy-forward",)),
    ),
    (
        "abdomen",
        "3 pairs of abdominal CT, two of them with different fields of view",
        5,
        lambda: tuple(
            Row("abdomen", "abdomen_ct", a, t, "normal") for a, t in (("00", "01"), ("02", "03"), ("04", "05"))
        ),
    ),
    (
        "abdomen-pairs",
        "12 pairs of abdominal CT, each subject with the one before it as atlas, beside convexAdam",
        60,
        lambda: tuple(
            Row("abdomen-pairs", "abdomen_ct", a, t, method) for method in ("normal", "convexadam") for a, t in ABDOMENS
        ),
    ),
    ("contrast", "a brain and an abdomen, as they are and with the target's contrast changed", 10, _contrast),
    (
        "hippocampus",
        "5 pairs of small MR crops",
        2,
        lambda: tuple(Row("hippocampus", "hippocampus", "001", t, "normal") for t in CROPS),
    ),
    ("robust", "a brain pair as it is, moved by 40 mm, and turned by 60 degrees", 3, _robust),
    (
        "gpu",
        "a brain pair on a CUDA device",
        1,
        lambda: (Row("gpu", "oasis", "1000", "1010", "normal", budget=Budget(device="cuda")),),
    ),
)
PARTS = {name: Part(name, about, minutes, build()) for name, about, minutes, build in _BUILDERS}
SHORT = "brain"
