"""What PyTorch and which devices a Python has, asked of a process of its own so that ours never loads them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..job import Code, JobError
from .asking import ask

_CHILD = "JointRegSegLib.service.prober"


@dataclass(frozen=True)
class TorchDevice:
    """One place to compute: `kind` is cpu, cuda or mps; memory in GB, None where nobody can tell."""

    kind: str
    name: str
    free_gb: float | None = None
    total_gb: float | None = None


@dataclass(frozen=True)
class TorchState:
    """What a Python offers.

    Attributes:
        version: of PyTorch; empty where there is no working one.
        devices: where it can compute, the CPU first.
        error: why there is no working PyTorch, or None.
        has_safetensors: whether it can read and write trained models; the optimization does without.
    """

    version: str = ""
    devices: tuple[TorchDevice, ...] = ()
    error: JobError | None = None
    has_safetensors: bool = True


def probe(
    python: str | None = None, environment: Mapping[str, str] | None = None, timeout: float = 120.0
) -> TorchState:
    """Ask `python` (by default the one that would run the worker). Blocks for the seconds that importing PyTorch takes.

    Args:
        python: executable.
        environment: what the child's environment starts from; this process's own where None.
        timeout: seconds after which a Python that does not answer counts as broken.
    """
    try:
        found = ask(_CHILD, (), python, environment, timeout).data
    except JobError as error:
        if error.code is Code.WORKER_DIED:  # it fell silent while it imported PyTorch
            error = _broken(error.message.rstrip("."))
        return TorchState(error=error)
    devices = tuple(TorchDevice(**device) for device in found["devices"])
    return TorchState(found["version"], devices, has_safetensors=found["has_safetensors"])


def load_torch() -> Any:
    """The torch module of this very process; a `JobError` TORCH_MISSING or TORCH_BROKEN. For child processes only."""
    if importlib.util.find_spec("torch") is None:
        raise JobError(
            Code.TORCH_MISSING,
            f"PyTorch is not installed in {sys.executable}.",
            "In Slicer install it with the PyTorch extension; elsewhere run: pip install torch",
        )
    try:
        torch = importlib.import_module("torch")
        if importlib.util.find_spec("numpy") is not None:
            torch.zeros(1).numpy()  # fails where PyTorch was built for another generation of numpy
        return torch
    except Exception as problem:
        words = str(problem).strip().splitlines()
        raise _broken(words[0].rstrip(".") if words else type(problem).__name__) from problem


def _broken(reason: str) -> JobError:
    return JobError(
        Code.TORCH_BROKEN,
        f"PyTorch cannot be loaded: {reason}.",
        "Install it again; in Slicer use the PyTorch extension's uninstall and install buttons, then restart.",
    )
