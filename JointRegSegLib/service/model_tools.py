"""Checking and installing model packages from a process that must not load PyTorch: a child looks at the weights.

python -m JointRegSegLib.service.model_tools check|install PACKAGE [NAME]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ..job import Event, Kind
from .asking import answer, ask

_CHECK, _INSTALL = "check", "install"


def check_in_child(package: Path, python: str | None = None) -> str:
    """The method of a package whose weights are what they were; `JobError` as of `library.models.check_model`."""
    return str(ask(__name__, (_CHECK, str(package.absolute())), python).data["method"])


def install_in_child(package: Path, name: str = "", python: str | None = None) -> str:
    """The name under which a package was installed; `JobError` as of `library.models.import_model`."""
    return str(ask(__name__, (_INSTALL, str(package.absolute()), name), python).data["name"])


def _work(arguments: Sequence[str]) -> Event:
    from ..library.models import check_model, import_model

    what, package, *name = arguments
    if what == _CHECK:
        return Event(Kind.RESULT, data={"method": check_model(Path(package)).method})
    return Event(Kind.RESULT, data={"name": import_model(Path(package), *name).name})


if __name__ == "__main__":
    sys.exit(answer(lambda: _work(sys.argv[1:])))
