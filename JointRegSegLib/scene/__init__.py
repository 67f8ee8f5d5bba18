"""Slicer's nodes in and out: nodes become a request and its files, a result becomes nodes. No Qt, no torch here."""

from .carrying import carry_over
from .comparison import checkerboard, reference_dice
from .contents import Grids
from .corrections import Changes, find_changes
from .inputs import AtlasSource, request_from_nodes
from .outputs import RunNodes, load_result
from .plots import CurvesPlot
from .training_data import write_training_set
from .transforms import show_grid
from .views import back_to, fade, hide_segments, jump_to, show, show_surfaces, side_by_side

__all__ = [
    "AtlasSource",
    "Changes",
    "CurvesPlot",
    "Grids",
    "RunNodes",
    "back_to",
    "carry_over",
    "checkerboard",
    "fade",
    "find_changes",
    "hide_segments",
    "jump_to",
    "load_result",
    "reference_dice",
    "request_from_nodes",
    "show",
    "show_grid",
    "show_surfaces",
    "side_by_side",
    "write_training_set",
]
