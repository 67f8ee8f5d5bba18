"""A run as plain text for an issue or a mail, without what could tell whose scan it was."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..job import Caution, JobError, QualityTable, Result
from .path_words import shorten_paths
from .run_session import RunSession
from .summary import RESEARCH_USE

_WITH_A_STRUCTURE = ("label", "confidence", "to look at")
_OF_STRUCTURES = ("labels-lost", "labels-cut")


def report_of(session: RunSession, torch: str) -> str:
    """The report of a run that has ended."""
    inputs = session.inputs
    names = [atlas.name for atlas in inputs.atlases]
    return report(session.result, session.error, session.notes, torch, inputs.files, session.cautions, names)


def report(
    result: Result | None,
    error: JobError | None,
    notes: list[str],
    torch: str,
    files: Sequence[Path] = (),
    cautions: Sequence[Caution] = (),
    atlases: Sequence[str] = (),
) -> str:
    """Versions, settings, quality and error. Paths are cut; no node, no structure and no atlas is named.

    Args:
        result, error: of the run.
        notes: what else was said of it.
        torch: one line about PyTorch.
        files: that the user chose; nothing but their kind is told.
        cautions: that the worker told; they may be among the notes and in the result too.
        atlases: what the user calls them.
    """
    manifest = {} if result is None else result.manifest
    table = QualityTable() if result is None else result.quality
    names = {*atlases, *manifest.get("atlases", ())}
    told = dict.fromkeys((*table.cautions, *cautions))
    said = list(dict.fromkeys(_caution(caution, table) for caution in told))
    said += [note for note in notes if note not in {caution.message for caution in told}]
    lines = [
        f"JointRegSeg {__version__}, Python {platform.python_version()}, {platform.platform()}",
        torch,
        RESEARCH_USE,
        _without(names, f"Error {error.code.value}: {error}") if error is not None else "",
        *_facts(manifest),
        *_figures(table),
        *(_without(names, sentence) for sentence in said),
    ]
    return hide_names(shorten_paths("\n".join(filter(None, lines)), files)) + "\n"


def _facts(manifest: dict[str, Any]) -> list[str]:
    """What a manifest says, but for names of atlases, and for digests.

    Digests name nobody, but would tell that two reports are of the same scan.
    """
    facts = {key: value for key, value in manifest.items() if key not in ("atlases", "most_alike", "atlas_folders")}
    facts = {key: value for key, value in _flat(facts).items() if not key.endswith("_digest")}
    if "atlases" in manifest:
        facts["atlases"] = len(manifest["atlases"])
    return [f"{key}: {value}" for key, value in sorted(facts.items())]


def _figures(table: QualityTable) -> list[str]:
    """The rows but the cautions; of a structure its value."""
    rows = [row for row in table.rows() if row[0] != "caution"]
    return [
        "\t".join((group, name.split(" ")[0] if group in _WITH_A_STRUCTURE else name, *rest))
        for group, name, *rest in rows
    ]


def _caution(caution: Caution, table: QualityTable) -> str:
    if caution.code in _OF_STRUCTURES:
        names = sorted((re.escape(label.name) for label in table.labels), key=len, reverse=True)
        count = len(re.findall(rf"(?<=[:,] )(?:{'|'.join(names)})(?=, |\.$)", caution.message)) if names else 0
        return f"caution {caution.code}: {count or 'some'} of the structures"
    return f"caution {caution.code}: {caution.message}"


def _without(names: Iterable[str], sentence: str) -> str:
    """A sentence without what the user calls the atlases; the numbers that others get may stay."""
    for name in sorted(names, key=len, reverse=True):
        if name and not re.fullmatch(r"atlas \d+", name):
            sentence = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "...", sentence)
    return sentence


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


def hide_names(text: str) -> str:
    """The text without what messages quote: names of nodes and segments, which may be a patient's."""
    return re.sub("“[^”]*”", "“...”", text)
