"""What is measured of a user's help: corrected structures that a run goes on from, and landmarks.

`refine`: a Normal run; three of its structures are replaced by the manual ones; a run goes on from there. The three
are chosen by rank: of the scored labels with more than 500 voxels in the target, from the worst Dice of the Normal run
(rank 0) upwards, those at ranks 10, 22 and 34.

`landmarks`: a ball of 80 mm in the middle of the target's head is masked, so that the images say nothing there, as
where a tumor lies. In it the truth is off by a smooth displacement: the same oblique direction everywhere, largest in
the middle, `(1 - (r / radius)^2)^2` of that at a distance r, so that it ends at the ball's surface and what the images
say around it stays true. It is 10 mm on average over 40 held-out points. Ten landmarks and the held-out points lie at
random in the inner 60 % of the ball's radius. What it is added to is the field of a run with the mask and without
landmarks: the error is then 10 mm, and nothing else. `landmarks-unseen` adds it to the field of a Normal run without a
mask instead: beside the 10 mm the truth then has the detail that the images showed there, which ten points do not tell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .parts import Budget, Part, key_of

REFINE, LANDMARKS, UNSEEN = "refine", "landmarks", "landmarks-unseen"
_ONE_THREAD = Budget(threads=1, limit_seconds=1800)
_REFINING: dict[str, object] = {"ranks": [10, 22, 34], "least_voxels": 500, "near_mm": 3.0}
_PINNING: dict[str, object] = {
    "radius_mm": 40.0,
    "inner": 0.6,
    "error_mm": 10.0,
    "marks": 10,
    "held_out": 40,
    "draw": 0,
}


@dataclass(frozen=True)
class Guided:
    """One pair, registered with a user's help.

    Attributes:
        atlas, target: subjects of the data set.
        help: `REFINE`, `LANDMARKS` or `UNSEEN`.
        budget: what the row may use.
    """

    atlas: str
    target: str
    help: str
    part: str = "guided"
    dataset: str = "oasis"
    budget: Budget = _ONE_THREAD

    @property
    def name(self) -> str:
        """One word that tells this row from all others."""
        return f"{self.part}/{self.dataset}/{self.atlas}-{self.target}/{self.help}"

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides the row's figures besides budget, code and machine."""
        own: dict[str, object] = {k: v for k, v in asdict(self).items() if k not in ("part", "budget")}
        return {**own, "method": "normal", "similarity": "auto", **(_REFINING if self.help == REFINE else _PINNING)}

    @property
    def key(self) -> str:
        """Of settings and budget."""
        return key_of(self.settings, self.budget)


_ROWS = (
    *(Guided(atlas, target, REFINE) for atlas, target in (("1000", "1012"), ("1007", "1014"), ("1001", "1015"))),
    *(Guided("1000", "1012", way) for way in (LANDMARKS, UNSEEN)),
)
GUIDES = {
    "guided": Part("guided", "3 brains corrected and refined, and 10 landmarks where the images say nothing", 8, _ROWS)
}
