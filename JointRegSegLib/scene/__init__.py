"""Slicer's nodes in and out: nodes become a request and its files, a result becomes nodes. No Qt, no torch here."""

from .contents import Grids
from .inputs import AtlasSource, request_from_nodes
from .outputs import RunNodes, load_result
from .transforms import show_grid
from .views import show

__all__ = ["AtlasSource", "Grids", "RunNodes", "load_result", "request_from_nodes", "show", "show_grid"]
