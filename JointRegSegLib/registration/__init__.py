"""Registration by optimisation, without training: affine, then diffeomorphic."""

from .border import fade_beyond
from .choice import choose_similarity
from .deformable import register
from .descent import combined_weight
from .pair import Pair
from .presets import PRESETS, Preset
from .scan import Scan
from .search import Alignment, align
from .similarity import pull_of
from .starts import Start, as_placed
from .working import MARGIN, pair_on, working_grid

__all__ = [
    "MARGIN",
    "PRESETS",
    "Alignment",
    "Pair",
    "Preset",
    "Scan",
    "Start",
    "align",
    "as_placed",
    "choose_similarity",
    "combined_weight",
    "fade_beyond",
    "pair_on",
    "pull_of",
    "register",
    "working_grid",
]
