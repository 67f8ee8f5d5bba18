"""Progress in words."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..job import Event


def stage_name(stage: str) -> str:
    """A pipeline step, as the panel calls it; a step that it does not know is shown as it is."""
    names = {
        "prepare": _("Preparing the images"),
        "align": _("Aligning"),
        "register": _("Registering"),
        "fuse": _("Transferring the labels"),
        "check": _("Checking the result"),
        "write": _("Writing the result"),
    }
    return names.get(stage, stage)


def time_left(seconds: float | None) -> str:
    """The expected rest of a run: "about 40 s left", "about 3 min left"; empty where nobody knows."""
    if seconds is None:
        return ""
    if seconds < 5:
        return _("a few seconds left")
    if seconds < 90:
        return _("about {seconds} s left").format(seconds=int(5 * round(seconds / 5)))
    return _("about {minutes} min left").format(minutes=round(seconds / 60))


def duration(seconds: float) -> str:
    """A time that passed: "40 s", "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes:
        return _("{minutes} min {seconds} s").format(minutes=minutes, seconds=rest)
    return _("{seconds} s").format(seconds=rest)


def progress_line(event: Event) -> str:
    """One line about where the run is: step, percent and time left."""
    line = stage_name(event.stage) or event.message
    if event.fraction is not None:
        line += f" ({100 * event.fraction:.0f} %)"
    left = time_left(event.eta_seconds)
    return f"{line}, {left}" if left else line
