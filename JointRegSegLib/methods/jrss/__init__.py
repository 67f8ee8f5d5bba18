"""JRSS (Shi et al., BSPC 2023): two networks that teach each other through pseudo-labels of a mean teacher."""

from .model import build
from .settings import Settings
from .strategy import Jrss as strategy

__all__ = ["Settings", "build", "strategy"]
