"""Where a user's own models and unpacked libraries live."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "JOINTREGSEG_HOME"


def user_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The folder, which may not exist yet: what JOINTREGSEG_HOME names, else where the system keeps such data.

    Args:
        environment: the process's variables.
        platform: as `sys.platform`.
    """
    if environment.get(VARIABLE):
        return Path(environment[VARIABLE])
    home = Path(environment.get("USERPROFILE" if platform == "win32" else "HOME") or Path.home())
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "JointRegSeg"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "JointRegSeg"
    return Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "jointregseg"
