"""What a run may know of a pair beside the two images."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..fields import Matrix
from ..registration import Pair
from ..volumes import LabelMap
from .corrections import Corrections
from .earlier import Earlier
from .landmarks import LandmarkPairs
from .proposal import Proposal


@dataclass(frozen=True)
class Guidance:
    """Each is None where there is no such thing.

    Attributes:
        proposal: what a trained method says.
        landmarks: points that belong together.
        earlier: a result to go on from; it excludes a proposal.
        corrections: labels that a user corrected in that result.
    """

    proposal: Proposal | None = None
    landmarks: LandmarkPairs | None = None
    earlier: Earlier | None = None
    corrections: Corrections | None = None

    @property
    def held_bytes(self) -> float:
        """What it takes of the memory."""
        return sum(one.held_bytes for one in (self.proposal, self.earlier) if one is not None)

    @property
    def soft_labels(self) -> int:
        """How many structures pull in the optimisation."""
        if self.corrections is not None:
            return len(self.corrections.values)
        return 0 if self.proposal is None else self.proposal.soft_labels

    def on(self, pair: Pair, atlas: LabelMap, affine: Matrix) -> Pair:
        """The pair with the soft labels and the landmarks that pull in it; the affine is the pair's."""
        if self.proposal is not None:
            pair = self.proposal.guided(pair)
        if self.corrections is not None:
            pair = self.corrections.guiding(pair, atlas, affine)
        if self.landmarks is not None:
            pair = replace(pair, landmarks=self.landmarks.on(pair.grid, affine))
        return pair
