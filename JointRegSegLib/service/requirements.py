"""What a Python needs besides PyTorch to be the one that computes."""

from __future__ import annotations

import importlib.util
import sys

MINIMUM = (3, 11)
LIBRARIES = ("numpy", "scipy", "SimpleITK")
"""As pyproject.toml has them, which an installed extension is without; models need safetensors too, runs do not."""

NEEDED = f"JointRegSeg computes with PyTorch, {', '.join(LIBRARIES)} and Python {MINIMUM[0]}.{MINIMUM[1]} or newer."


def shortcomings() -> str:
    """Why this very Python cannot compute, as the end of a sentence about it; empty where it can."""
    version = f"is Python {sys.version_info[0]}.{sys.version_info[1]}" if sys.version_info[:2] < MINIMUM else ""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    return " and ".join(filter(None, (version, f"lacks {', '.join(missing)}" if missing else "")))
