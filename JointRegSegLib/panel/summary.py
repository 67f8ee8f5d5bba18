"""A finished run in words: what was measured, whether it looks good, and a report to send to someone."""

from __future__ import annotations

import html
import platform
import re
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from .. import __version__
from ..job import JobError, QualityTable, Result, Status
from ..job.request import OPTIMISATION
from ..methods import METHODS
from .check_words import plain_name, why
from .method_words import method_name
from .words import duration

# Readable on the light and on the dark theme; the word beside the mark says the same without color.
_COLORS = {Status.GOOD: "#2e9e4f", Status.LOOK: "#d98e04", Status.BAD: "#d6403a"}


def status_word(status: Status) -> str:
    """A status in one word, so that color is never the only mark."""
    words = {Status.GOOD: _("good"), Status.LOOK: _("look"), Status.BAD: _("bad")}
    return words.get(status, "")


def headline(table: QualityTable) -> str:
    """The result in one sentence."""
    return {
        Status.GOOD: _("The result looks good."),
        Status.LOOK: _("Please look at the result before you use it."),
        Status.BAD: _("The result is probably wrong."),
    }[table.overall]


def to_html(table: QualityTable, notes: list[str], facts: str = "") -> str:
    """The summary as rich text for a label: headline, measures with marks, cautions, notes, and how it was made."""
    lines = [f"<p>{_mark(table.overall)} <b>{html.escape(headline(table))}</b></p><table cellspacing='2'>"]
    for measure in table.measures:
        value = f"{measure.value:.3g} {measure.unit}".strip()
        cells = (
            _mark(measure.status),
            html.escape(plain_name(measure)),
            html.escape(value),
            status_word(measure.status),
        )
        lines.append("<tr>" + "".join(f"<td>{cell}&nbsp;</td>" for cell in cells) + "</tr>")
    lines.append("</table>")
    reasons = {reason: measure.status for measure in table.measures if (reason := why(measure))}
    lines += [f"<p>{_mark(status)} {html.escape(reason)}</p>" for reason, status in reasons.items()]
    volume = sum(label.volume_ml for label in table.labels)
    structures = _("Structures: {count}, {volume:.1f} ml in all.").format(count=len(table.labels), volume=volume)
    lines.append(f"<p>{html.escape(structures)}</p>")
    said = dict.fromkeys([caution.message for caution in table.cautions] + notes)
    lines += [f"<p>{_mark(Status.LOOK)} {html.escape(sentence)}</p>" for sentence in said]
    if facts:
        lines.append(f"<p>{html.escape(facts)}</p>")
    return "".join(lines)


def how_it_was_made(manifest: dict[str, Any], seconds: float) -> str:
    """Method, device and time of a run in a sentence."""
    method = str(manifest.get("method", ""))
    words = _("Made by {method} on {device} in {time}. For research use; not a medical device.")
    return words.format(
        method=method_name(method) if method in (OPTIMISATION, *METHODS) else method,
        device=str(manifest.get("device", "")).upper(),
        time=duration(seconds),
    )


def _mark(status: Status) -> str:
    if status is Status.NONE:
        return ""
    return f"<span style='color:{_COLORS[status]}'>\u25cf</span>"


def report(result: Result | None, error: JobError | None, notes: list[str], torch: str) -> str:
    """Plain text for an issue or a mail: versions, settings, quality and error. Paths are cut, no node is named."""
    lines = [f"JointRegSeg {__version__}, Python {platform.python_version()}, {platform.platform()}", torch]
    if error is not None:
        lines.append(f"Error {error.code.value}: {error}")
    if result is not None:
        lines += [f"{key}: {value}" for key, value in sorted(_flat(result.manifest).items())]
        lines += ["\t".join(row) for row in result.quality.rows()]
    return hide_names(shorten_paths("\n".join([*lines, *notes]))) + "\n"


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


def shorten_paths(text: str) -> str:
    """The text with the user's home folder and temporary folder, which hold names, cut out of every path."""
    import tempfile

    places = {str(Path.home()): "~", tempfile.gettempdir(): "TMP"}
    for place, short in sorted(places.items(), key=lambda item: -len(item[0])):
        if len(place) > 1:
            text = text.replace(place, short)
    return text
