"""The words of this room in the user's language. Errors of the engine come from the worker and stay English."""

from __future__ import annotations

try:
    from slicer.i18n import tr
except ImportError:  # Slicer's libraries without the application

    def tr(text: str) -> str:
        """The text as it is."""
        return text


def quoted(name: str) -> str:
    """The name of a node or a segment within a message: reports leave out what stands between these marks."""
    return f"“{name}”"


__all__ = ["quoted", "tr"]
