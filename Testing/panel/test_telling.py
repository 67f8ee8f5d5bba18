"""The box of an error: its sentence and advice first, its code among the details."""

from __future__ import annotations

from typing import Any

import pytest

from JointRegSegLib.job import Code, JobError
from Testing.rig.need import need

need("slicer", "slicer-core")
need("PySide6.QtWidgets", "PySide6-Essentials")
import slicer.util  # noqa: E402

from Testing.rig.pythonqt import qt  # noqa: E402

pytestmark = pytest.mark.gui


def test_a_box_of_slicers_own_has_the_code_among_its_details(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ctk

    from JointRegSegLib.panel.telling import tell

    shown: list[tuple[str, str]] = []
    monkeypatch.setattr(ctk.ctkMessageBox, "exec_", lambda box: shown.append((box.text, box.detailedText)))
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)
    monkeypatch.setattr(slicer.app, "applicationName", "Slicer", raising=False)
    window = qt.QWidget()
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: window)
    tell(JobError(Code.DATA_INVALID, "It has 1 scans.", "Give more."))
    assert shown == [("It has 1 scans.\n\nGive more.", "Error code: data-invalid")]
