"""What may be told about a case where others will read it: no path, because paths may hold a patient's name."""

from __future__ import annotations

from pathlib import Path

from ..job import Request
from ..report.page import without_paths


def known_paths_named(text: str, request: Request) -> str:
    """The text with a request's own paths replaced by what they are."""
    names: dict[Path, str] = {request.target: "the target", request.output: "the result's folder"}
    if request.target_mask is not None:
        names[request.target_mask] = "the target's mask"
    if request.model is not None:
        names[request.model] = "the model"
    for number, atlas in enumerate(request.atlases, 1):
        name = atlas.name or str(number)
        names |= {atlas.image: f"atlas {name}", atlas.labels: f"the labels of atlas {name}"}
    # The longest first: one may be the beginning of another.
    for path, word in sorted(names.items(), key=lambda item: -len(str(item[0]))):
        for spelling in dict.fromkeys((str(path.absolute()), str(path))):
            text = text.replace(spelling, word)
    return text


def fit_to_publish(text: str, request: Request) -> str:
    """As `known_paths_named`, and no other absolute path either."""
    return without_paths(known_paths_named(text, request))
