"""Lists of scans that a scene remembers: atlases, targets, training scans; each from the scene or from files."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE, LABELS, MASK, POINTS, TABLE = "image", "labels", "mask", "points", "table"


@dataclass(frozen=True)
class Entry:
    """One scan of a list.

    Attributes:
        key: tells it from all others, also from those that were in the list before.
        given_name: of a file's scan; empty for one of the scene, which is called as its node is.
        parts: what it consists of, by role: a node, a file's path, or None for a node that is gone.
    """

    key: str
    given_name: str
    parts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What people call it."""
        image = self.parts.get(IMAGE)
        if self.given_name or image is None:
            return self.given_name
        return image.name if isinstance(image, Path) else str(image.GetName())

    @property
    def is_whole(self) -> bool:
        """Whether none of its nodes is gone."""
        return all(part is not None for part in self.parts.values())


class EntryList:
    """A list kept in a parameter node: files as text, nodes as references, so that both come back with a scene.

    Args:
        parameters: the parameter node.
        name: of its text parameter.
    """

    def __init__(self, parameters: Any, name: str) -> None:
        self._parameters = parameters
        self._name = name

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The scans in their order."""
        return tuple(self._entry(fields) for fields in self._read())

    def add(self, parts: Mapping[str, Any], name: str = "") -> None:
        """Append a scan; parts that are None are left out."""
        self.extend([(parts, name)])

    def extend(self, scans: Iterable[tuple[Mapping[str, Any], str]]) -> None:
        """Append scans, each as parts and a name."""
        found = self._read()
        for parts, name in scans:
            key = uuid.uuid4().hex  # never used again, so that no later scan is taken for this one
            given = {role: part for role, part in parts.items() if part is not None}
            files = {role: str(part) for role, part in given.items() if isinstance(part, Path)}
            nodes = [role for role in given if role not in files]
            for role in nodes:
                self._parameters.parameterNode.SetNodeReferenceID(self._role(key, role), given[role].GetID())
            found.append({"key": key, "name": name, "nodes": nodes, "files": files})
        self._write(found)

    def remove(self, keys: Iterable[str]) -> None:
        """Take scans out of the list; their nodes and files stay."""
        gone = set(keys)
        found = self._read()
        for fields in found:
            if fields["key"] in gone:
                for role in fields["nodes"]:
                    self._parameters.parameterNode.SetNodeReferenceID(self._role(fields["key"], role), None)
        self._write([fields for fields in found if fields["key"] not in gone])

    def _entry(self, fields: dict[str, Any]) -> Entry:
        node = self._parameters.parameterNode
        nodes = {role: node.GetNodeReference(self._role(fields["key"], role)) for role in fields["nodes"]}
        files = {role: Path(file) for role, file in fields["files"].items()}
        return Entry(fields["key"], fields["name"], nodes | files)

    def _role(self, key: str, role: str) -> str:
        return f"{self._name}.{key}.{role}"

    def _read(self) -> list[dict[str, Any]]:
        text = getattr(self._parameters, self._name)
        found: list[dict[str, Any]] = json.loads(text) if text else []
        return found

    def _write(self, found: list[dict[str, Any]]) -> None:
        setattr(self._parameters, self._name, json.dumps(found) if found else "")
