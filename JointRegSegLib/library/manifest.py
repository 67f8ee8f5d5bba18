"""What an atlas library says of itself. Standard library only, so that whoever starts a run can read it.

A library is a folder, or a .zip of its contents: `library.json`, the label table, the licence, and the members' images
and label maps on the same grid; and, where they were made, overviews of them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..job import Atlas, Code, JobError, Overview

FORMAT = 1
MANIFEST = "library.json"
"""Not `manifest.json`, which marks a run's result: a result's folder may be overwritten, a library never."""
TABLE = "labels.csv"
LICENCE = "LICENCE.txt"
IMAGES, LABELS = "images", "labels"
OVERVIEWS = "overviews"
OVERVIEWS_FORMAT = 1
"""To be raised with any change of how scans are scaled or made coarser: overviews of another format are ignored."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class MemberGrid:
    """The grid of a member's image and labels, as `volumes.Grid` has it (LPS mm)."""

    size: tuple[int, int, int]
    spacing: Triple
    origin: Triple
    direction: tuple[float, ...]


@dataclass(frozen=True)
class Member:
    """One labelled scan of a library.

    Attributes:
        name: unique in the library; what results call it.
        image, labels: files, relative to the library's folder.
        image_sha256, labels_sha256: of those files.
        grid: of both.
        values: the label values that occur.
    """

    name: str
    image: PurePosixPath
    labels: PurePosixPath
    image_sha256: str
    labels_sha256: str
    grid: MemberGrid
    values: tuple[int, ...]


@dataclass(frozen=True)
class MemberOverview:
    """One member's overview, as `job.Overview` has it, and the checksum of its file."""

    image: PurePosixPath
    image_sha256: str
    affine: tuple[float, ...]


@dataclass(frozen=True)
class Overviews:
    """What the members look like from afar, in the members' order.

    Attributes:
        spacing: of all of them, in mm.
        members: one for each member.
        format: of the overviews, apart from the manifest's.
    """

    spacing: float
    members: tuple[MemberOverview, ...]
    format: int = OVERVIEWS_FORMAT


@dataclass(frozen=True)
class Manifest:
    """A library's contents.

    Attributes:
        name, version: of the library, for people.
        licence: the licence text's first line.
        table_sha256: of the label table.
        members: in their order.
        format: of this file.
        overviews: of the members, or None.
    """

    name: str
    version: str
    licence: str
    table_sha256: str
    members: tuple[Member, ...]
    format: int = FORMAT
    overviews: Overviews | None = None

    def to_json(self) -> str:
        """The manifest as JSON text."""
        fields = asdict(self)
        if self.overviews is None:  # as it was before there were any, so that a library's digest stays
            del fields["overviews"]
        return json.dumps(fields, indent=2, default=str)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """The manifest in a text of `to_json`; `ValueError`, `KeyError` or `TypeError` where it is no such text."""
        fields = json.loads(text)
        if fields["format"] != FORMAT:
            raise ValueError(f"format {fields['format']}")
        members = tuple(_member(member) for member in fields["members"])
        names = [member.name for member in members]
        if not members or len(set(names)) < len(names):
            raise ValueError("it has no member, or two of one name")
        return cls(**{**fields, "members": members, "overviews": _overviews(fields.get("overviews"), len(members))})


@dataclass(frozen=True)
class Library:
    """A library on disk."""

    folder: Path
    manifest: Manifest

    @property
    def table(self) -> Path:
        """The label table."""
        return self.folder / TABLE

    @property
    def atlases(self) -> tuple[Atlas, ...]:
        """The members as a request names them."""
        known = self.manifest.overviews
        overviews: tuple[Overview | None, ...] = (None,) * len(self.manifest.members)
        if known is not None:
            overviews = tuple(Overview(self.folder / one.image, one.affine, known.spacing) for one in known.members)
        return tuple(
            Atlas(self.folder / m.image, self.folder / m.labels, self.table, name=m.name, overview=overview)
            for m, overview in zip(self.manifest.members, overviews, strict=True)
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, and through its checksums of all that the library holds."""
        return hashlib.sha256(self.manifest.to_json().encode()).hexdigest()


def read_library(folder: Path) -> Library:
    """The library in a folder; `JobError` LIBRARY_MISSING or LIBRARY_INVALID. Images and labels are not opened."""
    if not (folder / MANIFEST).is_file():
        raise JobError(
            Code.LIBRARY_MISSING,
            f"There is no atlas library in {folder}.",
            "Check the path; `jointregseg atlases create` makes a library of labelled scans.",
        )
    manifest = _read(folder)
    files = [TABLE, *(str(file) for member in manifest.members for file in (member.image, member.labels))]
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise invalid(folder, f"{missing[0]} is missing")
    return Library(folder, manifest)


def overviews_beside(images: Path) -> dict[Path, Overview]:
    """What a library knows of the scans in its folder of images, by their paths; nothing where it is of no library."""
    folder = images.parent
    if not (folder / MANIFEST).is_file():
        return {}
    try:
        members = Library(folder, _read(folder)).atlases
    except JobError:
        return {}
    return {member.image: member.overview for member in members if member.overview is not None}


def invalid(where: Path, what: str, advice: str = "Copy or make it again.") -> JobError:
    """The error for a library that cannot be used."""
    return JobError(Code.LIBRARY_INVALID, f"The atlas library {where} cannot be used: {what}.", advice)


def sha256(path: Path) -> str:
    """The checksum of a file; `OSError` where it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _member(fields: dict[str, Any]) -> Member:
    grid = fields["grid"]
    if len(grid["size"]) != 3 or len(grid["spacing"]) != 3 or len(grid["origin"]) != 3 or len(grid["direction"]) != 9:
        raise ValueError(f"the grid of {fields['name']}")
    return Member(
        **{
            **fields,
            "image": _inside(fields["image"]),
            "labels": _inside(fields["labels"]),
            "grid": MemberGrid(**{key: tuple(values) for key, values in grid.items()}),
            "values": tuple(fields["values"]),
        }
    )


def _read(folder: Path) -> Manifest:
    try:
        return Manifest.from_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as problem:
        raise invalid(folder, f"its {MANIFEST} cannot be read ({problem})") from problem


def _overviews(fields: dict[str, Any] | None, count: int) -> Overviews | None:
    """The overviews of `count` members; None where there are none, or some that another version made."""
    if fields is None or fields["format"] != OVERVIEWS_FORMAT:
        return None
    found = tuple(
        MemberOverview(_inside(one["image"]), one["image_sha256"], tuple(one["affine"])) for one in fields["members"]
    )
    if len(found) != count:
        raise ValueError("the number of overviews")
    for one in found:
        Overview(Path(one.image), one.affine, fields["spacing"])  # which checks the numbers
    return Overviews(fields["spacing"], found)


def _inside(text: str) -> PurePosixPath:
    """A path that leads nowhere outside its folder."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or ":" in text or "\\" in text:
        raise ValueError(f"the path {text}")
    return path
