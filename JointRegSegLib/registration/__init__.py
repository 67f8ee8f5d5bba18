"""Registration by optimisation, without training: affine, then diffeomorphic."""

from .affine import inside
from .border import fade_beyond
from .choice import choose_similarity
from .continued import continue_from
from .deformable import register
from .descent import combined_weight
from .discrete import search_displacements
from .landmarks import Landmarks
from .pair import Pair
from .presets import PRESETS, Preset
from .scan import Scan
from .search import Alignment, affine_spacing, align, coarse_spacing, likeness
from .similarity import pull_of
from .starts import Start, as_placed
from .unfold import unfold
from .working import MARGIN, pair_on, working_grid

__all__ = [
    "MARGIN",
    "PRESETS",
    "Alignment",
    "Landmarks",
    "Pair",
    "Preset",
    "Scan",
    "Start",
    "affine_spacing",
    "align",
    "as_placed",
    "choose_similarity",
    "coarse_spacing",
    "combined_weight",
    "continue_from",
    "fade_beyond",
    "inside",
    "likeness",
    "pair_on",
    "pull_of",
    "register",
    "search_displacements",
    "unfold",
    "working_grid",
]
