"""The main job as named steps."""

from .run import run

__all__ = ["run"]
