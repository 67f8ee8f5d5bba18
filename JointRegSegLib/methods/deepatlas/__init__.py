"""DeepAtlas (Xu & Niethammer, MICCAI 2019): two independent networks that train in turn on each other's results."""

from .model import build
from .settings import Settings
from .strategy import DeepAtlas as strategy

__all__ = ["Settings", "build", "strategy"]
