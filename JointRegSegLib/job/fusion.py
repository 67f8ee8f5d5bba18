"""How the labels of several atlases are made one label map."""

from __future__ import annotations

from enum import Enum


class Fusion(str, Enum):
    """AUTO is JOINT, which did best in the benchmark."""

    AUTO = "auto"
    MAJORITY = "majority"
    LOCAL = "local"
    JOINT = "joint"
    STAPLE = "staple"
