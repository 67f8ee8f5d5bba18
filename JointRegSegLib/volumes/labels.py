"""What label values mean: names, colours and, where known, coded terminology."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

MAX_VALUE = 65535
_GOLDEN = 0.6180339887498949
_SHADES = ((0.75, 0.95), (0.45, 0.90), (0.90, 0.70), (0.55, 0.60))


@dataclass(frozen=True)
class Label:
    """One structure.

    Attributes:
        value: voxel value, 1 to 65535.
        name: for people.
        color: red, green, blue, 0 to 255.
        terminology: columns of Slicer's colour-table CSV that are filled, such as "Type_CodeValue"; empty when none.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    terminology: dict[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def default(cls, value: int) -> Label:
        """The label that a value without a name gets: "label N", in a colour that depends on N alone."""
        saturation, brightness = _SHADES[value % len(_SHADES)]
        red, green, blue = colorsys.hsv_to_rgb(value * _GOLDEN % 1.0, saturation, brightness)
        return cls(value, f"label {value}", (round(red * 255), round(green * 255), round(blue * 255)))


class LabelTable(Mapping[int, Label]):
    """Labels by value, in the order given; never changes. `ValueError` for a value used twice."""

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._labels: dict[int, Label] = {}
        for label in labels:
            if label.value in self._labels:
                raise ValueError(f"label value {label.value} occurs twice")
            self._labels[label.value] = label

    @classmethod
    def default(cls, values: Iterable[int]) -> LabelTable:
        """A table of default names and colours."""
        return cls(Label.default(int(value)) for value in values)

    def restricted(self, values: Iterable[int]) -> LabelTable:
        """The labels with these values in this table's order, then defaults for the values it lacks."""
        wanted = dict.fromkeys(int(value) for value in values)
        known = [label for value, label in self._labels.items() if value in wanted]
        return LabelTable(known + [Label.default(value) for value in wanted if value not in self._labels])

    def completed(self, other: Iterable[Label]) -> LabelTable:
        """This table, then those of `other`'s labels whose values it lacks."""
        return LabelTable([*self._labels.values(), *(label for label in other if label.value not in self._labels)])

    def __getitem__(self, value: int) -> Label:
        return self._labels[value]

    def __iter__(self) -> Iterator[int]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return f"LabelTable({list(self._labels.values())!r})"
