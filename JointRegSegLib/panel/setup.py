"""PyTorch on the user's machine: looked for in a process of its own, installed by the PyTorch extension on a click."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from ..job import Code, JobError
from ..service.client import TorchDevice, TorchState
from .background import Background

REQUIREMENT = ">=2.2"


class TorchSetup:
    """Knows whether the worker will find PyTorch, and asks the PyTorch extension to install it.

    Attributes:
        state: the `TorchState` that was found, or None while nobody knows.

    Args:
        on_change: called on the main thread when `state` is known.
        find: asks for the state and blocks meanwhile; it runs on a thread of its own.
    """

    def __init__(self, on_change: Callable[[], None], find: Callable[[], TorchState]) -> None:
        self.state: TorchState | None = None
        self._on_change = on_change
        self._find = find
        self._background = Background()

    @property
    def is_missing(self) -> bool:
        """Whether a run would fail for want of PyTorch, or of something else that the Python needs."""
        return self.state is not None and self.state.error is not None

    @property
    def lacks_torch(self) -> bool:
        """Whether installing PyTorch would help."""
        error = None if self.state is None else self.state.error
        return error is not None and error.code in (Code.TORCH_MISSING, Code.TORCH_BROKEN)

    @property
    def lacks_safetensors(self) -> bool:
        """Whether trained models cannot be read."""
        return self.state is not None and self.state.error is None and not self.state.has_safetensors

    def look(self) -> None:
        """Find out in the background."""
        self.state = None
        self._background.start(self._find, self._look_at)

    def close(self) -> None:
        """Tell nobody any more."""
        self._background.close()

    def describe(self) -> str:
        """What was found, for the line above the Run button."""
        if self.state is None:
            return _("Looking for PyTorch...")
        if self.state.error is None:
            return _("PyTorch {version}: {devices}").format(
                version=self.state.version, devices="; ".join(_describe_device(each) for each in self.state.devices)
            )
        if self.state.error.code is Code.TORCH_MISSING:
            return _("PyTorch is not installed. JointRegSeg computes with it.")
        return str(self.state.error)

    def install(self) -> None:
        """Install PyTorch with the PyTorch extension, after asking; where the extension is missing, offer that."""
        try:
            extension = importlib.import_module("PyTorchUtils")
        except ImportError:
            self._install_extension()
            return
        try:
            # It asks for consent itself, and picks the build that fits the graphics card.
            extension.PyTorchUtilsLogic().installTorch(True, None, REQUIREMENT)
        except Exception as problem:
            logging.getLogger(__name__).exception("PyTorch was not installed")
            advice = _("Check the network connection, or try the module PyTorch Utils.")
            sentence = _("PyTorch could not be installed: {problem}").format(problem=problem)
            slicer.util.errorDisplay(f"{sentence}\n\n{advice}")
        self.look()

    def _install_extension(self) -> None:
        manager = getattr(slicer.app, "extensionsManagerModel", lambda: None)()
        question = _(
            "PyTorch is installed by the extension named PyTorch, which this Slicer does not have yet.\n\n"
            "Install the extension from the Slicer extensions server now? Slicer has to be restarted after that; then"
            " click this button again."
        )
        if manager is None or not hasattr(manager, "installExtensionFromServer"):
            slicer.util.errorDisplay(
                _("Install the extension named PyTorch with the Extensions Manager, restart Slicer, and click again.")
            )
        elif slicer.util.confirmOkCancelDisplay(question):
            if manager.installExtensionFromServer("PyTorch"):
                slicer.util.infoDisplay(_("Restart Slicer, then click Install PyTorch again."))
            else:
                slicer.util.errorDisplay(
                    _("The PyTorch extension could not be installed. Try the Extensions Manager, or check the network.")
                )

    def _look_at(self, found: TorchState | None, error: JobError | None) -> None:
        self.state = found if found is not None else TorchState(error=error)
        self._on_change()


def _describe_device(device: TorchDevice) -> str:
    if device.free_gb is None:
        return device.name
    return _("{name} ({free:.0f} GB free)").format(name=device.name, free=device.free_gb)
