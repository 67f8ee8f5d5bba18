"""Which label values are the classes 0 to K-1 of a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from JointRegSegLib.volumes import LabelTable
from JointRegSegLib.volumes.labels import MAX_VALUE


@dataclass(frozen=True)
class Structures:
    """What the classes of a network mean.

    Attributes:
        table: the label of class i + 1 at place i; class 0 is background.
        values: the label values that belong to class i + 1; its label carries the first of them.
    """

    table: LabelTable
    values: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls,
        present: Iterable[int],
        wanted: Mapping[str, tuple[int, ...]] | None = None,
        table: LabelTable | None = None,
    ) -> Structures:
        """One class for each present value, or for each wanted name, whose values are merged.

        Args:
            present: values in the label maps, without 0.
            wanted: name -> values; whatever is not named becomes background.
            table: names and colours of the values.
        """
        known = table or LabelTable()
        if wanted:
            groups = tuple(tuple(values) for values in wanted.values())
            named = known.restricted(values[0] for values in groups)
            labels = [replace(named[values[0]], name=name) for name, values in wanted.items()]
            return cls(LabelTable(labels), groups)
        ascending = sorted(set(present))
        given = known.restricted(ascending)
        return cls(LabelTable(given[value] for value in ascending), tuple((value,) for value in ascending))

    @property
    def classes(self) -> int:
        """K, background included."""
        return len(self.values) + 1

    def to_classes(self, labels: NDArray[Any]) -> NDArray[np.int16]:
        """Label values as classes 0 to K-1."""
        lookup = np.zeros(MAX_VALUE + 1, np.int16)
        for index, values in enumerate(self.values, 1):
            lookup[list(values)] = index
        return lookup[labels]

    def to_values(self, classes: NDArray[Any]) -> NDArray[np.uint16]:
        """Classes 0 to K-1 as label values."""
        return np.array([0, *(values[0] for values in self.values)], np.uint16)[classes]
