"""What is measured of several atlases: each row fuses the labels of some atlases on one target in one way."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .parts import GREEDY_AFFINE, GREEDY_DEFORMABLE, Budget, Part, key_of

OASIS = (
    *("1000", "1001", "1002", "1006", "1007", "1008", "1009", "1010"),
    *("1011", "1012", "1013", "1014", "1015", "1017", "1036"),
)
FIVE = OASIS[:5]
TARGETS = ("1012", "1013", "1014", "1015")
OURS = ("majority", "local", "joint", "joint-search", "staple")
PEER = "ants-joint"
WAYS = (("normal", "majority"), ("normal", "local"), ("normal", "joint"), ("greedy", "majority"))
"""What warps the atlases and what fuses them, in every part."""
ABDOMENS = tuple(f"{number:02}" for number in range(8))
LPBA40 = tuple(f"S{number}" for number in range(11, 19))
_ONE_THREAD = Budget(threads=1, limit_seconds=5400)


@dataclass(frozen=True)
class Fusing:
    """One target, labelled by several atlases.

    Attributes:
        dataset: folder below the data folder.
        atlases: subjects of that folder.
        target: another one, whose labels are looked at for the score alone.
        registered: what warped the atlases: a quality of ours, or greedy.
        method: one of `OURS`, or `PEER`.
        budget: what the row may use; its threads are those of each registration too.
    """

    dataset: str
    atlases: tuple[str, ...]
    target: str
    registered: str
    method: str
    budget: Budget = _ONE_THREAD
    part: str = "fusion"

    @property
    def name(self) -> str:
        """One word that tells this row from all others."""
        return f"{self.part}/{self.dataset}/{len(self.atlases)}-{self.target}/{self.registered}/{self.method}"

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides the row's figures besides budget, code and machine."""
        settings: dict[str, object] = {k: v for k, v in asdict(self).items() if k not in ("part", "budget")}
        settings["atlases"] = list(self.atlases)
        if self.registered == "greedy":
            settings["commands"] = [GREEDY_AFFINE, GREEDY_DEFORMABLE]
        return settings

    @property
    def key(self) -> str:
        """Of settings and budget."""
        return key_of(self.settings, self.budget)


def _rows() -> tuple[Fusing, ...]:
    rows = [Fusing("oasis", FIVE, target, *way) for way in WAYS for target in TARGETS]
    for way in WAYS:
        rows += [Fusing("oasis", tuple(one for one in OASIS if one != t), t, *way) for t in TARGETS]
    rows += [Fusing("oasis", FIVE, target, "normal", method) for method in OURS[3:] for target in TARGETS]
    return (*rows, *(Fusing("oasis", FIVE, target, "normal", PEER) for target in TARGETS))


def _eight(part: str, dataset: str, subjects: tuple[str, ...]) -> tuple[Fusing, ...]:
    """Of eight subjects by id, the first five are the atlases of each of the other three."""
    return tuple(Fusing(dataset, subjects[:5], target, *way, part=part) for way in WAYS for target in subjects[5:])


_ABOUT = "5 and 14 atlases to 4 brains: ways of fusing, the majority of greedy's, and joint label fusion of ANTs"
_ABDOMEN = "5 atlases to 3 abdominal CTs: ways of fusing, and the majority of greedy's"
_LPBA40 = "5 atlases to 3 brains of LPBA40: ways of fusing, and the majority of greedy's"
FUSIONS = {
    "fusion": Part("fusion", _ABOUT, 210, _rows()),
    "fusion-abdomen": Part("fusion-abdomen", _ABDOMEN, 120, _eight("fusion-abdomen", "abdomen_ct", ABDOMENS)),
    "fusion-lpba40": Part("fusion-lpba40", _LPBA40, 30, _eight("fusion-lpba40", "lpba40", LPBA40)),
}
