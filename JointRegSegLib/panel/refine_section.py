"""The panel's section for correcting structures by hand and letting the registration follow them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from ..job import JobError
from ..scene import Changes, RunNodes, find_changes, hide_segments
from ..scene.translation import quoted
from .inputs import Inputs
from .run_queue import Turn
from .run_session import State
from .telling import tell


class RefineSection:
    """Finds what the user changed in the shown result, and starts a run that respects it.

    Args:
        ui: the panel's widgets by name.
        on_refine: called with the shown run and the user's changes.
    """

    def __init__(self, ui: Any, on_refine: Callable[[Turn, Changes], None]) -> None:
        self._ui = ui
        self._on_refine = on_refine
        self._turn: Turn | None = None
        self._before: RunNodes | None = None
        self._words = ""
        self._chosen: Sequence[Inputs] = ()
        ui.findChangesButton.connect("clicked(bool)", self._on_find)
        ui.refineButton.connect("clicked(bool)", self._on_click_refine)

    def show(self, turn: Turn | None) -> None:
        """Work on this run from now on; None on none."""
        if turn is not None and turn.state is State.FINISHED and turn.inputs.changes is not None and self._before:
            hide_segments(slicer.mrmlScene, self._before)
        self._turn, self._before, self._words = turn, None, ""

    def update(self, is_running: bool, chosen: Sequence[Inputs]) -> None:
        """Make the section show what is true now.

        Args:
            is_running: whether a run goes on.
            chosen: what Run would run, which may be of other scans than the shown result.
        """
        self._chosen = chosen
        self._show_words(is_running)

    def _show_words(self, is_running: bool = False) -> None:
        reason = self._why_not(is_running)
        for button in (self._ui.findChangesButton, self._ui.refineButton):
            button.enabled = not reason
        words = self._words or _("Edit the result's structures in the Segment Editor, then click Refine.")
        self._ui.refineLabel.text = reason or " ".join(filter(None, (words, self._whose())))

    def _why_not(self, is_running: bool) -> str:
        if is_running:
            return _("A run is going on.")
        if self._turn is None or self._turn.state is not State.FINISHED:
            return _("There is no result to correct yet.")
        if len(self._turn.inputs.atlases) > 1:
            return _("Refine goes on from the registration of one atlas; this result is fused from several.")
        if deleted := self._turn.inputs.deleted_for_refining():
            return _("Refine needs what this result was made of, and {names} was deleted. Run again.").format(
                names=", ".join(map(quoted, deleted))
            )
        return ""

    def _whose(self) -> str:
        """Whose result it is, where others are chosen by now."""
        inputs = self._turn.inputs if self._turn is not None else None
        if inputs is None or not self._chosen or any(inputs.has_scans_of(each) for each in self._chosen):
            return ""
        atlas = inputs.atlases[0]
        return _(
            "Other scans are chosen by now; Refine goes on with those of this result, {atlas} and {target}."
        ).format(
            atlas=quoted(atlas.image.name if isinstance(atlas.image, Path) else atlas.image.GetName()),
            target=quoted(inputs.target.GetName()),
        )

    def _find(self) -> Changes | None:
        session = self._turn.session if self._turn is not None else None
        if session is None or session.result is None or self._why_not(is_running=False):
            return None
        try:
            return find_changes(slicer.mrmlScene, session.nodes, session.result)
        except JobError as error:
            tell(error)
            return None

    def _on_find(self, checked: bool = False) -> None:
        changes = self._find()
        if changes is not None:
            self._words = describe(changes)
        self._show_words()

    def _on_click_refine(self, checked: bool = False) -> None:
        changes = self._find()
        if changes is not None and self._turn is not None and self._turn.session is not None:
            self._words = describe(changes)
            if changes.values:
                turn, self._before = self._turn, self._turn.session.nodes
                self._on_refine(turn, changes)
                return
        self._show_words()


def describe(changes: Changes) -> str:
    """What was changed, in words."""
    words = (
        _("Changed since the run: {names}.").format(names=", ".join(changes.names))
        if changes.values
        else _("No structure was changed since the run.")
    )
    if changes.ignored:
        names = ", ".join(map(quoted, changes.ignored))
        words += " " + _("Not known to the atlas, and so left out: {names}.").format(names=names)
    return words
