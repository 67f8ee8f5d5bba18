"""Slicer's two spellings of coded terminology: colour-table columns, and a segment's terminology entry.

An entry is `context~category~type~modifier~region context~region~region modifier`; each code is
`scheme^value^meaning` (3D Slicer documentation, module Segmentations).
"""

from __future__ import annotations

CONTEXT, REGION_CONTEXT = "ContextName", "RegionContextName"
DEFAULTS = {
    CONTEXT: "Segmentation category and type - 3D Slicer General Anatomy list",
    REGION_CONTEXT: "Anatomic codes - DICOM master list",
}
_PARTS = ("CodingScheme", "CodeValue", "CodeMeaning")
_PLACES = (CONTEXT, "Category", "Type", "TypeModifier", REGION_CONTEXT, "Region", "RegionModifier")
_CODES = tuple(place for place in _PLACES if place not in DEFAULTS)
COLUMNS = tuple(f"{code}_{part}" for code in _CODES for part in _PARTS)


def to_entry(columns: dict[str, str]) -> str:
    """The entry of a segment with these columns; contexts default to Slicer's own."""
    words = {key: _plain(value) for key, value in columns.items()}
    return "~".join(
        words.get(place, DEFAULTS[place])
        if place in DEFAULTS
        else "^".join(words.get(f"{place}_{part}", "") for part in _PARTS)
        for place in _PLACES
    )


def from_entry(entry: str) -> dict[str, str]:
    """The filled columns of an entry; empty where it has no codes. Contexts appear where they are not the defaults."""
    columns: dict[str, str] = {}
    for place, text in zip(_PLACES, entry.split("~"), strict=False):
        if place not in DEFAULTS:
            codes = zip(_PARTS, text.split("^"), strict=False)
            columns |= {f"{place}_{part}": word for part, word in codes if word}
        elif text and text != DEFAULTS[place]:
            columns[place] = text
    return columns if any(column in columns for column in COLUMNS) else {}


def _plain(word: str) -> str:
    """The word without the characters that separate things in an entry and in a segment's tags."""
    return " ".join(word.translate(dict.fromkeys(map(ord, "~^|\r\n"), " ")).split())
