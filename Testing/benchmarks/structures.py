"""What the structures of the data sets are called."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from . import subjects

_OASIS = Path(__file__).with_name("oasis_structures.csv")

_ABDOMEN = (
    *("spleen", "right kidney", "left kidney", "gallbladder", "oesophagus", "liver", "stomach", "aorta"),
    *("inferior vena cava", "portal and splenic vein", "pancreas", "right adrenal gland", "left adrenal gland"),
)


def named(dataset: str, value: int) -> str:
    """A label's name; in LPBA40 that of its lobe or nucleus and its value; its value alone where no name is known."""
    if dataset == "abdomen_ct" and value <= len(_ABDOMEN):
        return _ABDOMEN[value - 1]
    if dataset == "oasis" and value in (names := _oasis()):
        return names[value]
    known = (name for name, values in subjects.merged(dataset).items() if value in values)
    return f"{next(known, '')} {value}".strip()


@cache
def _oasis() -> dict[int, str]:
    """The names of the structures that the challenge scored; with the scans they need not be there for tables."""
    with _OASIS.open(encoding="utf-8", newline="") as file:
        return {int(row["value"]): row["name"] for row in csv.DictReader(file)}
