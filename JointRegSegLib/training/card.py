"""What a trained model says of itself: readable without PyTorch, from the first bytes of its file."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..job import Code, JobError

KEY = "jointregseg"
VERSION = 1

_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Structure:
    """A class of the model, as label tables have it.

    Attributes:
        value: the label value that stands for it.
        name, color: of that label.
        values: all label values that it was trained on; more than one where structures were merged.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.values:
            object.__setattr__(self, "values", (self.value,))


FUSED = "fused"
"""The score of a run's labels, fused from the carried ones and the model's segmentation."""


@dataclass(frozen=True)
class Card:
    """The card of a model package. It holds no path, id or date of a subject.

    Attributes:
        method: which published system.
        config: its configuration, section by section.
        structures: class i + 1 at place i.
        size, spacing, intensity: the frame it was trained in (`frame.Frame`).
        training: steps, minutes, labelled, subjects, and what else sums it up.
        scores: validation Dice by name, 0 to 1: of the model's "registration" and "segmentation", of the
            "optimisation" without it, and of `FUSED` labels of a run with it.
        licence: under which terms the training data allow what.
        digest: SHA-256 of the weights.
        version: of this format.
        software: the version of JointRegSeg that trained it; empty in cards from before this was told.
    """

    method: str
    config: dict[str, Any]
    structures: tuple[Structure, ...]
    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    intensity: str
    training: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    licence: str = ""
    digest: str = ""
    version: int = VERSION
    software: str = ""

    @property
    def classes(self) -> int:
        """K, background included."""
        return len(self.structures) + 1

    @property
    def has_position_map(self) -> bool:
        """Whether the network learned a map of positions, which is tied to the grid that it was trained on."""
        return self.config.get("model", {}).get("position", "none") != "none"

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uses the model has to know of it, in sentences that follow from its configuration."""
        if not self.has_position_map:
            return ()
        voxels, mm = " x ".join(map(str, self.size)), " x ".join(f"{n:.3g}" for n in self.spacing)
        return (
            f"Its position map belongs to the training grid, {voxels} voxels of {mm} mm around a scan's middle: it "
            "expects structures where they were in training, and the map is resampled for a grid of another size.",
        )

    def to_json(self) -> str:
        """The card as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card in a text of `to_json`; `ValueError`, `KeyError` or `TypeError` where it is no such text."""
        fields = json.loads(text)
        if fields["version"] != VERSION:
            raise ValueError(f"version {fields['version']}")
        structures = tuple(
            Structure(s["value"], s["name"], _tuple(s["color"]), tuple(s.get("values", ())))
            for s in fields["structures"]
        )
        return cls(
            **{**fields, "structures": structures, "size": _tuple(fields["size"]), "spacing": _tuple(fields["spacing"])}
        )


def load_card(path: Path) -> Card:
    """The card of a model package; `JobError` MODEL_MISSING or MODEL_INVALID. The weights are not looked at."""
    path = Path(path)
    if not path.is_file():
        raise JobError(Code.MODEL_MISSING, f"There is no model package {path}.", "Check the path.")
    try:
        with path.open("rb") as file:
            (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        return Card.from_json(header["__metadata__"][KEY])
    except (OSError, struct.error, ValueError, KeyError, TypeError) as problem:
        raise JobError(
            Code.MODEL_INVALID,
            f"The model package {path} is no model package of JointRegSeg.",
            "Give a .safetensors file that JointRegSeg's training wrote, of a version that this one reads.",
        ) from problem


def _tuple(values: list[Any]) -> Any:
    if len(values) != 3:
        raise ValueError(f"three numbers are needed, not {len(values)}")
    return tuple(values)
