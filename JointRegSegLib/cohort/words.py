"""What may be told about a case where others will read it: no path, because paths may hold a patient's name."""

from __future__ import annotations

import re
from pathlib import Path

from ..job import Request
from ..job.request import START_AS_PLACED, START_AUTO
from ..report.page import without_paths

_PLURAL = "the labels of"


def known_paths_named(text: str, request: Request) -> str:
    """The text with a request's own paths replaced by what they are, its sentences whole."""
    names: dict[Path, str] = {request.target: "the target", request.output: "the result's folder"}
    if request.target_mask is not None:
        names[request.target_mask] = "the target's mask"
    if request.model is not None:
        names[request.model] = "the model"
    if request.start not in (START_AUTO, START_AS_PLACED):
        names[Path(request.start)] = "the start transform"
    for number, atlas in enumerate(request.atlases, 1):
        name = atlas.name or str(number)
        names |= {atlas.image: f"atlas {name}", atlas.labels: f"{_PLURAL} atlas {name}"}
    # The longest first: one may be the beginning of another.
    for path, word in sorted(names.items(), key=lambda item: -len(str(item[0]))):
        for spelling in dict.fromkeys((str(path.absolute()), str(path))):
            missing = f"{_begun(word)} {'do' if word.startswith(_PLURAL) else 'does'} not exist."
            # "There is no transform PATH." with a name for the path would be no sentence.
            text = missing.join(re.split(rf"There is no [a-z ]*{re.escape(spelling)}\.(?!\S)", text))
            if text.startswith(spelling):
                text = _begun(word) + text[len(spelling) :]
            text = text.replace(spelling, word)
    return text


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def fit_to_publish(text: str, request: Request) -> str:
    """As `known_paths_named`, and no other absolute path either."""
    return without_paths(known_paths_named(text, request))
