"""MMLN (Zheng et al., Neurocomputing 2022): a pyramid of velocity fields that learns with slices and with its core."""

from .model import build
from .settings import Settings
from .strategy import Mmln as strategy

__all__ = ["Settings", "build", "strategy"]
