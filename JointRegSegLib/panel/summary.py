"""A finished run in words: what was measured, and whether it looks good."""

from __future__ import annotations

import html
from typing import Any

from slicer.i18n import tr as _

from ..job import QualityTable, Status
from ..job.request import OPTIMISATION
from ..methods import METHODS
from .check_words import plain_name, why
from .method_words import method_name
from .words import duration

RESEARCH_USE = _("For research use; not a medical device.")
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
    words = _("Made by {method} on {device} in {time}.")
    made = words.format(
        method=method_name(method) if method in (OPTIMISATION, *METHODS) else method,
        device=str(manifest.get("device", "")).upper(),
        time=duration(seconds),
    )
    return f"{made} {RESEARCH_USE}"


def _mark(status: Status) -> str:
    if status is Status.NONE:
        return ""
    return f"<span style='color:{_COLORS[status]}'>\u25cf</span>"
