"""The models that a user has installed: packages in one folder, named by their files.

Cards are read without PyTorch; weights are looked at only where they are checked.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..job import Code, JobError
from ..job.filesystem import replace_file
from ..job.folders import unwritable
from ..training.card import Card, load_card
from .places import user_folder

ENDING = ".safetensors"
FOLDER = "models"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Installed:
    """An installed model; `card` is None where `problem` says why it cannot be used."""

    name: str
    path: Path
    card: Card | None
    problem: str = ""


def installed_models() -> tuple[Installed, ...]:
    """All installed models by name."""
    paths = sorted((user_folder() / FOLDER).glob(f"[!.]*{ENDING}"))
    return tuple(_look(path) for path in paths)


def find_model(name: Path) -> Path:
    """The package that a path, or else an installed model's name, means; `JobError` MODEL_MISSING."""
    if name.is_file():
        return name
    if _NAME.fullmatch(str(name)) and (own := _place(str(name))).is_file():
        return own
    raise JobError(
        Code.MODEL_MISSING,
        f"There is no model package {name}, and no installed model of this name.",
        "Check the path; `jointregseg models list` shows what is installed.",
    )


def import_model(source: Path, name: str = "") -> Installed:
    """Copy a package to the installed models, after a look at its weights.

    Args:
        source: the package.
        name: what to call it; as its file is called where empty.

    Raises:
        JobError: MODEL_MISSING, MODEL_INVALID; REQUEST_INVALID where the name cannot be used or is taken;
            OUTPUT_UNWRITABLE or DISK_FULL.
    """
    check_model(source)
    name = name or source.name.removesuffix(ENDING)
    if _NAME.fullmatch(name) is None:
        raise JobError(
            Code.REQUEST_INVALID,
            f"A model cannot be named “{name}”.",
            "Give a name of letters, digits, dots, hyphens and underscores.",
        )
    place = _place(name)
    if place.exists():
        raise JobError(
            Code.REQUEST_INVALID,
            f"A model named {name} is installed already.",
            "Give another name, or remove it first.",
        )
    partial = place.with_name(f".{place.name}.partial")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        replace_file(partial, place)
    except OSError as problem:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise unwritable(place, problem) from problem
    return _look(place)


def remove_model(name: str) -> None:
    """Delete an installed model; `JobError` MODEL_MISSING or OUTPUT_UNWRITABLE."""
    if _NAME.fullmatch(name) is None or not _place(name).is_file():
        raise JobError(
            Code.MODEL_MISSING,
            f"There is no installed model {name}.",
            "`jointregseg models list` shows what is installed.",
        )
    try:
        _place(name).unlink()
    except OSError as problem:
        raise unwritable(_place(name), problem) from problem


def check_model(path: Path) -> Card:
    """The card of a package whose weights are what they were; `JobError` MODEL_MISSING, MODEL_INVALID, TORCH_MISSING.

    Loads PyTorch.
    """
    card = load_card(path)
    from ..service.torch_state import load_torch

    load_torch()
    from ..training.package import load_package

    load_package(path)
    return card


def _place(name: str) -> Path:
    return user_folder() / FOLDER / f"{name}{ENDING}"


def _look(path: Path) -> Installed:
    name = path.name.removesuffix(ENDING)
    try:
        return Installed(name, path, load_card(path))
    except JobError as problem:
        return Installed(name, path, None, problem.message)
