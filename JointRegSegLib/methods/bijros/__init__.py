"""Bi-JROS (Fan et al., CVPR 2024): registration leads and segmentation follows, upon one frozen encoder."""

from .model import build
from .settings import Settings
from .strategy import BiJros as strategy

__all__ = ["Settings", "build", "strategy"]
