"""Whether a library still is what its manifest says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..job import JobError
from ..volumes import present_values, read_label_map, read_label_table, read_volume
from .create import as_member_grid
from .manifest import LICENCE, Library, Member, sha256


@dataclass(frozen=True)
class Finding:
    """Something that is wrong; `member` is empty where it concerns the whole library."""

    member: str
    what: str


def check(library: Library) -> tuple[Finding, ...]:
    """All that is wrong: nothing readable, other checksums, grids or values than stated, unnamed values, duplicates."""
    return tuple(_findings(library))


def _findings(library: Library) -> Iterator[Finding]:
    manifest = library.manifest
    if sha256(library.table) != manifest.table_sha256:
        yield Finding("", "the label table is not the one that the library was made with")
    if not (library.folder / LICENCE).is_file():
        yield Finding("", f"{LICENCE} is missing: nobody can tell what its scans may be used for")
    try:
        named = set(read_label_table(library.table))
    except JobError as problem:
        yield Finding("", str(problem))
        named = set()
    owners: dict[str, str] = {}
    for member in manifest.members:
        first = owners.setdefault(member.image_sha256, member.name)
        if first != member.name:
            yield Finding(member.name, f"its image is that of {first}")
        if lacking := sorted(set(member.values) - named):
            yield Finding(member.name, f"the table does not name its label value {lacking[0]}")
        for what in _of_files(library.folder, member):
            yield Finding(member.name, what)
    if manifest.overviews is not None:
        for member, overview in zip(manifest.members, manifest.overviews.members, strict=True):
            path = library.folder / overview.image
            if not path.is_file():
                yield Finding(member.name, "its overview is missing")
            elif sha256(path) != overview.image_sha256:
                yield Finding(member.name, "the overview is not the one that the library was made with")


def _of_files(folder: Path, member: Member) -> Iterator[str]:
    for path, stated, what in (
        (folder / member.image, member.image_sha256, "image"),
        (folder / member.labels, member.labels_sha256, "label map"),
    ):
        if sha256(path) != stated:
            yield f"the {what} is not the one that the library was made with"
    try:
        image, labels = read_volume(folder / member.image), read_label_map(folder / member.labels)
    except JobError as problem:
        yield str(problem)
        return
    if as_member_grid(image.grid) != member.grid:
        yield "the image lies on another grid than stated"
    if not labels.grid.same_as(image.grid):
        yield "labels and image lie on different grids"
    if tuple(present_values(labels.array)) != member.values:
        yield "the label map holds other values than stated"
