"""What the structures of the data sets are called."""

from __future__ import annotations

from . import subjects

_ABDOMEN = (
    *("spleen", "right kidney", "left kidney", "gallbladder", "oesophagus", "liver", "stomach", "aorta"),
    *("inferior vena cava", "portal and splenic vein", "pancreas", "right adrenal gland", "left adrenal gland"),
)


def named(dataset: str, value: int) -> str:
    """A label's name; in LPBA40 that of its lobe or nucleus and its value, and its value alone where no name is known.

    The names of OASIS' labels lie with the scans, which need not be there when tables are made.
    """
    if dataset == "abdomen_ct" and value <= len(_ABDOMEN):
        return _ABDOMEN[value - 1]
    known = (name for name, values in subjects.merged(dataset).items() if value in values)
    return f"{next(known, '')} {value}".strip()
