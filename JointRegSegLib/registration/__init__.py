"""Registration by optimisation, without training: affine, then diffeomorphic."""

from .affine import Alignment, align
from .choice import choose_similarity
from .deformable import register
from .pair import Pair
from .presets import PRESETS, Preset
from .scan import Scan
from .similarity import pull_of
from .starts import Start, as_placed
from .working import pair_on, working_grid

__all__ = [
    "PRESETS",
    "Alignment",
    "Pair",
    "Preset",
    "Scan",
    "Start",
    "align",
    "as_placed",
    "choose_similarity",
    "pair_on",
    "pull_of",
    "register",
    "working_grid",
]
