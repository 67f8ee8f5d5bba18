"""The panel's section that starts runs, follows and cancels them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from slicer.i18n import tr as _

from .inputs import Inputs
from .remembered import remember_run
from .run_queue import NewRun, RunQueue, Turn
from .run_session import RunSession, State
from .telling import tell
from .words import progress_line


class RunSection:
    """Runs on one target or on several, one after the other.

    Args:
        ui: the panel's widgets by name.
        new_run: makes a session that tells its changes to the callable.
        on_run: called when the user clicks Run.
        on_change: called when state or progress have changed.
        on_end: called with each target whose run has finished or failed.
    """

    def __init__(
        self,
        ui: Any,
        new_run: NewRun,
        on_run: Callable[[], None],
        on_change: Callable[[], None],
        on_end: Callable[[Turn], None],
    ) -> None:
        self._ui = ui
        self._new_run = new_run
        self._on_change = on_change
        self._on_end = on_end
        self.queue: RunQueue | None = None
        self._is_forgotten = False
        ui.runButton.connect("clicked(bool)", lambda checked=False: on_run())
        ui.cancelButton.connect("clicked(bool)", lambda checked=False: self.cancel())

    @property
    def session(self) -> RunSession | None:
        """The run that goes on, or else the one that was the last."""
        return self.queue.session if self.queue is not None else None

    @property
    def is_active(self) -> bool:
        """Whether a run goes on, or one is still to come."""
        return self.queue is not None and self.queue.is_active

    def start(self, runs: Sequence[Inputs]) -> None:
        """Begin with these targets; the files of earlier runs go, their nodes stay."""
        self.close()
        self._is_forgotten = False
        self.queue = RunQueue(runs, self._new_run, self._on_change, self._ended)
        self.queue.start()

    def refine(self, turn: Turn, inputs: Inputs) -> None:
        """Run a target of the last run again."""
        if self.queue is not None:
            self.queue.repeat(turn, inputs)

    def cancel(self) -> None:
        """Stop the present run, and begin no other."""
        if self.queue is not None:
            self.queue.cancel()
            self._on_change()

    def forget(self) -> None:
        """The scene of the run is gone: tell nothing more about its targets, which may come back with it."""
        self._is_forgotten = True

    def close(self) -> None:
        """Stop everything and remove the files."""
        if self.queue is not None:
            self.queue.close()

    @property
    def _turns(self) -> list[Turn]:
        return [] if self.queue is None or self._is_forgotten else self.queue.turns

    def status(self) -> dict[str, str]:
        """How far each target of the list is, by its key."""
        return {turn.inputs.key: turn.status() for turn in self._turns if turn.inputs.key}

    def turn(self, key: str) -> Turn | None:
        """The run on a target of the list, or None where it had none."""
        return next((turn for turn in self._turns if turn.inputs.key == key), None)

    def update(self, reason: str) -> None:
        """Make the section show what is true now; `reason` is why Run is disabled, or empty."""
        ui = self._ui
        running = self.session is not None and self.session.state is State.RUNNING
        ui.runButton.enabled = not reason
        ui.runButton.toolTip = reason or _("Register the atlas to the target and segment the target.")
        ui.cancelButton.enabled = running
        ui.cancelButton.toolTip = (
            _("Stop the run. The scene stays as it is.") if running else _("There is no run to cancel.")
        )
        ui.statusLabel.text = self._line(reason)
        ui.progressBar.value = self._thousandths()

    def _ended(self, turn: Turn) -> None:
        session = turn.session
        if session is None or session.state is State.CANCELLED:
            return
        if session.state is State.FINISHED and turn.inputs.continue_from is None:
            remember_run(*session.kind, session.seconds)
        if session.error is None or turn.instead_of is None:
            self._on_end(turn)
        if session.error is not None and self.queue is not None and len(self.queue.turns) == 1:
            tell(session.error)

    def _thousandths(self) -> int:
        """For the progress bar; an event that does not know leaves it where it is."""
        if self.queue is None:
            return 0
        if not self.queue.is_active:
            return 1000 if self.queue.count(State.FINISHED) else 0
        fraction = self.queue.fraction()
        return self._ui.progressBar.value if fraction is None else round(1000 * fraction)

    def _line(self, reason: str) -> str:
        queue, session = self.queue, self.session
        if queue is None or session is None or session.state is State.IDLE:
            return reason or _("Ready.")
        line = self._line_of(session)
        if len(queue.turns) == 1:
            return line
        if queue.is_active:
            place = _("Target {number} of {count}: {line}")
            number = 1 + next(index for index, turn in enumerate(queue.turns) if turn.session is session)
            return place.format(number=number, count=len(queue.turns), line=line)
        words = _("{finished} of {count} targets are finished, {failed} failed; the list says which.")
        counts = {"finished": queue.count(State.FINISHED), "failed": queue.count(State.FAILED)}
        return words.format(count=len(queue.turns), **counts)

    def _line_of(self, session: RunSession) -> str:
        if session.state is State.FAILED:
            return str(session.error)
        if session.state is State.RUNNING:
            return progress_line(session.event) if session.event is not None else _("Starting...")
        return {
            State.CANCELLING: _("Cancelling..."),
            State.CANCELLED: _("Cancelled. The scene stays as it was."),
            State.FINISHED: _("Finished."),
        }[session.state]
