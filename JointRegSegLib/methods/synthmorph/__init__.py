"""SynthMorph (Hoffmann et al., TMI 2022): registration of any contrast, learnt from images made of label maps."""

from .model import build
from .settings import Settings
from .strategy import SynthMorph as strategy

__all__ = ["Settings", "build", "strategy"]
