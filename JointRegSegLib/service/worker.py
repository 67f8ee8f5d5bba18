"""The process that computes: `python -m JointRegSegLib.service.worker --request FILE`.

Events go to the standard output, one a line; whatever libraries print goes to the standard error. The run ends
early, without any output, when the cancel file appears, on SIGTERM, and when the client that started it is gone.
Only the standard library is imported before PyTorch is known to be there.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from ..job import Code, Event, JobError, Kind, Request
from ..job.errors import EXIT_CANCELLED, EXIT_OK
from ..job.folders import clear_leftovers
from .eta import Eta
from .failures import as_job_error, first_line
from .processes import this_system
from .stepping_down import Run, stepping_down
from .torch_state import load_torch

PARENT_GRACE_SECONDS = 4.0


def load_pipeline() -> Run:
    """The pipeline's `run`; a `JobError` where PyTorch or another library is missing or cannot be loaded."""
    load_torch()
    try:
        from ..pipeline import run
    except ImportError as problem:
        raise JobError(
            Code.WORKER_NOT_STARTED,
            f"A library is missing in {sys.executable}: {first_line(problem)}.",
            "Install it with pip, or install JointRegSeg again.",
        ) from problem
    return run


def main(argv: Sequence[str] | None = None, load: Callable[[], Run] = load_pipeline) -> int:
    """Do the request that the arguments name and tell about it.

    Args:
        argv: the command line without the program; the process's own where None.
        load: gives the function that does the work; called once events can be sent.

    Returns:
        the exit status: 0, or the `JobError`'s.
    """
    parser = argparse.ArgumentParser(prog="python -m JointRegSegLib.service.worker", description="Run one request.")
    parser.add_argument("--request", type=Path, required=True, help="request as a JSON file")
    parser.add_argument("--cancel", type=Path, help="the run ends when this file appears (default: cancel, beside it)")
    arguments = parser.parse_args(argv)
    channel = Channel()
    stop = Stop(arguments.cancel or arguments.request.with_name("cancel"), arguments.request.absolute().parent)

    def work() -> Event:
        request = read_request(arguments.request)
        stop.watch_client(request.output)
        run = stepping_down(load(), channel.begin_again)
        result = run(request, channel.send, stop.asked)
        return Event(Kind.RESULT, fraction=1.0, data={"folder": str(result.folder)})

    return serve(channel, stop, "worker started", work)


def serve(channel: Channel, stop: Stop, greeting: str, work: Callable[[], Event]) -> int:
    """Greet, work, and tell the listener how it ended: with the event that `work` returns, or with an error.

    Returns: the exit status.
    """
    try:
        channel.send(Event(Kind.LOG, message=greeting, data={"pid": os.getpid()}))
        channel.send(work())
        return EXIT_OK
    except BaseException as problem:
        error = as_job_error(problem)
        if error.code is not Code.CANCELLED:
            traceback.print_exc()
        channel.send(Event(Kind.ERROR, message=error.message, code=error.code.value, advice=error.advice))
        return error.exit_status
    finally:
        if stop.client_gone:
            stop.end_all(0.0)


def read_request(path: Path) -> Request:
    """The request in a file; a `JobError` where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise JobError(
            Code.REQUEST_INVALID, f"The request {path} cannot be read: {first_line(problem)}.", "Check the path."
        ) from problem
    return Request.from_json(text)


class Channel:
    """The way to the listener. Takes the standard output for itself; what others print goes to the standard error."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
        os.dup2(2, 1)
        faulthandler.enable(file=sys.stderr)
        self._lock = threading.Lock()
        self._eta: Eta | None = None  # begins with the first progress, not while libraries load

    def send(self, event: Event) -> None:
        """Send one event now; progress that names no remaining time gets one."""
        with self._lock:
            if event.kind is Kind.PROGRESS and event.fraction is not None and event.eta_seconds is None:
                self._eta = self._eta or Eta()
                event = replace(event, eta_seconds=self._eta.update(event.fraction))
            try:
                self._stream.write(event.encode() + "\n")
                self._stream.flush()
            except OSError:
                # The listener is gone; whether the run goes on is decided by `Stop`.
                return

    def begin_again(self) -> None:
        """Progress starts from nothing: the remaining time is told anew."""
        self._eta = None


class Stop:
    """Whether the run should end early.

    Args:
        cancel_file: its appearance asks for the end.
        work_folder: the client's folder for this run, which nobody else removes when the client is gone.
    """

    def __init__(self, cancel_file: Path, work_folder: Path) -> None:
        self._cancel_file = cancel_file
        self._work_folder = work_folder
        self._signalled = False
        self._output: Path | None = None
        self.client_gone = False
        for name in ("SIGTERM", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)

    def asked(self) -> bool:
        """Whether anyone asked for the end."""
        return self._signalled or self.client_gone or self._cancel_file.exists()

    def watch_client(self, output: Path) -> None:
        """End the run when the client's pipe closes; `output` is what must then not be left half made."""
        self._output = output
        # A blocking read of the real standard input stalls some libraries' start on Windows, so it moves away.
        pipe = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        threading.Thread(target=self._watch, args=(pipe,), name="client watch", daemon=True).start()

    def end_all(self, grace: float) -> None:
        """After `grace` seconds do what the client no longer can: remove what is unfinished, end all processes."""
        time.sleep(grace)
        if self._output is not None:
            for _ in range(3):  # the run may still be writing while its folder goes
                clear_leftovers(self._output, dead=os.getpid())
        shutil.rmtree(self._work_folder, ignore_errors=True)
        system = this_system()
        system.kill_tree(system.own_tree())
        os._exit(EXIT_CANCELLED)

    def _watch(self, pipe: int) -> None:
        # A client greets with a byte. Without one this is a run by hand, or behind a launcher that forwards no input.
        try:
            if not os.read(pipe, 1):
                return
            while os.read(pipe, 4096):
                pass
        except OSError:
            return
        self.client_gone = True
        self.end_all(PARENT_GRACE_SECONDS)

    def _on_signal(self, number: int, frame: object) -> None:
        self._signalled = True


if __name__ == "__main__":
    sys.exit(main())
