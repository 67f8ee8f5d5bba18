"""A worker with the real entry point; what it does and how long stands in the target, and each start leaves a mark.

The target's text is JSON: `seconds` that a case takes, `first` for its first attempt alone, `fails` with a code.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from JointRegSegLib.job import Code, Event, JobError, QualityTable, Request, Result
from JointRegSegLib.job.folders import staging
from JointRegSegLib.job.result import FILES, MANIFEST, QUALITY_JSON
from JointRegSegLib.service import worker


def starts(target: Path) -> list[Path]:
    """The marks of a target's attempts."""
    return sorted(target.parent.glob(f"{target.name}.start-*"))


def run(request: Request, report: Callable[[Event], None], cancelled: Callable[[], bool]) -> Result:
    """What the target says."""
    try:
        asked = json.loads(request.target.read_text(encoding="utf-8"))
    except OSError as problem:
        raise JobError(Code.FILE_MISSING, f"There is no {request.target}.", "Check the path.") from problem
    first = not starts(request.target)
    mark = {"threads": request.threads, "pid": os.getpid(), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", "")}
    request.target.with_name(f"{request.target.name}.start-{os.getpid()}").write_text(json.dumps(mark))
    with staging(request.output, request.overwrite) as folder:
        (folder / "half").touch()
        if asked.get("fails") and (first or not asked.get("once")):
            if asked["fails"] == "killed":
                print("the end is near", request.target, file=sys.stderr, flush=True)
                os._exit(9)
            raise JobError(Code(asked["fails"]), f"Something about {request.target} is wrong.", "Mend it.")
        until = time.monotonic() + (asked.get("first", 0) if first else 0) + asked.get("seconds", 0)
        while time.monotonic() < until:
            if cancelled():
                raise JobError(Code.CANCELLED, "The run was cancelled.")
            time.sleep(0.02)
        (folder / "half").unlink()
        for name in FILES:
            (folder / name).touch()
        (folder / QUALITY_JSON).write_text(QualityTable().to_json(), encoding="utf-8")
        (folder / MANIFEST).write_text("{}", encoding="utf-8")
    return Result(request.output)


if __name__ == "__main__":
    sys.exit(worker.main(load=lambda: run))
