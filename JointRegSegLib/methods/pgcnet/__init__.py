"""PGCNet (Tan et al., MICCAI 2023): a shared encoder, and a pyramid in which registration and segmentation go along."""

from .model import build
from .settings import Settings
from .strategy import PgcNet as strategy

__all__ = ["Settings", "build", "strategy"]
