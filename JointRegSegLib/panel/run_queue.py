"""Runs on one target after the other; one that fails does not keep the others from theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import qt
from slicer.i18n import tr as _

from .inputs import Inputs
from .run_session import RunSession, State
from .words import progress_line

NewRun = Callable[[Inputs, Callable[[], None]], RunSession]


@dataclass
class Turn:
    """One target: its inputs, its run once that has begun, and the earlier run that this one goes on from."""

    inputs: Inputs
    session: RunSession | None = None
    instead_of: Turn | None = None

    @property
    def state(self) -> State:
        """Where its run is."""
        return State.IDLE if self.session is None else self.session.state

    def status(self) -> str:
        """How far it is, in a few words."""
        session = self.session
        if session is None or session.state is State.IDLE:
            return _("Waiting")
        if session.state is State.RUNNING:
            return progress_line(session.event) if session.event is not None else _("Starting...")
        if session.state is State.FAILED:
            return _("Failed: {problem}").format(problem=session.error)
        return {
            State.CANCELLING: _("Cancelling..."),
            State.CANCELLED: _("Cancelled"),
            State.FINISHED: _("Finished"),
        }[session.state]


class RunQueue:
    """Runs its targets in their order.

    Args:
        runs: the inputs of each target.
        new_run: makes a session that tells its changes to the callable.
        on_change: called when the state or the progress of any of them has changed.
        on_end: called with each target whose run has ended.

    Attributes:
        turns: all targets.
    """

    def __init__(
        self,
        runs: Sequence[Inputs],
        new_run: NewRun,
        on_change: Callable[[], None],
        on_end: Callable[[Turn], None],
    ) -> None:
        self.turns = [Turn(inputs) for inputs in runs]
        self._new_run = new_run
        self._on_change = on_change
        self._on_end = on_end
        self._is_stopped = False
        self._current: Turn | None = None
        self._replaced: list[Turn] = []

    @property
    def session(self) -> RunSession | None:
        """The run that goes on, or else the one that was the last."""
        return self._current.session if self._current is not None else None

    @property
    def is_active(self) -> bool:
        """Whether a run goes on, or one is still to come."""
        waiting = any(turn.session is None for turn in self.turns) and not self._is_stopped
        return waiting or (self.session is not None and self.session.is_active)

    def start(self) -> None:
        """Begin with the first target and return at once."""
        self._next()

    def repeat(self, turn: Turn, inputs: Inputs) -> None:
        """Run a target again with other inputs, in the place of a run that ended; its files stay till `close`."""
        again = Turn(inputs, instead_of=turn)
        self._put(again, turn)
        self._replaced.append(turn)
        self._begin(again)

    def cancel(self) -> None:
        """Ask the present run to stop, and begin no other."""
        self._is_stopped = True
        if self.session is not None:
            self.session.cancel()

    def close(self) -> None:
        """Stop everything and remove the files of all runs."""
        self._is_stopped = True
        self._on_change, self._on_end = lambda: None, lambda turn: None
        for turn in (*self.turns, *self._replaced):
            if turn.session is not None:
                turn.session.close()

    def count(self, state: State) -> int:
        """How many targets are in a state."""
        return sum(turn.state is state for turn in self.turns)

    def fraction(self) -> float | None:
        """How much of the whole queue is done, 0 to 1, or None where the present run does not tell."""
        ended = sum(turn.session is not None and not turn.session.is_active for turn in self.turns)
        session = self.session
        if session is None or not session.is_active or session.event is None:
            return ended / len(self.turns)
        return None if session.event.fraction is None else (ended + session.event.fraction) / len(self.turns)

    def _next(self) -> None:
        turn = next((turn for turn in self.turns if turn.session is None), None)
        if turn is not None and not self._is_stopped:
            self._begin(turn)

    def _begin(self, turn: Turn) -> None:
        self._current = turn
        turn.session = self._new_run(turn.inputs, lambda: self._changed(turn))
        turn.session.start()

    def _put(self, turn: Turn, instead_of: Turn) -> None:
        place = next(index for index, each in enumerate(self.turns) if each is instead_of)
        self.turns[place] = turn

    def _changed(self, turn: Turn) -> None:
        ended = turn is self._current and turn.state in (State.FINISHED, State.FAILED, State.CANCELLED)
        if turn.state is State.CANCELLED:
            self._is_stopped = True
        if ended and turn.state is not State.FINISHED and turn.instead_of is not None:
            self._put(turn.instead_of, turn)  # its result is still there, and may be corrected again
            self._replaced.append(turn)
        self._on_change()
        if ended:
            qt.QTimer.singleShot(0, self._next)
            self._on_end(turn)
