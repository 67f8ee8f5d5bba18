"""The side that asks for a run: starts the worker, hears its events, cancels it. Standard library only, no PyTorch."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from ..job import Code, Event, JobError, Kind, Request, Result
from ..job.filesystem import this_system as this_file_system
from ..job.folders import clear_leftovers, missing_parents, remove_empty
from ..job.request import START_AS_PLACED, START_AUTO
from .launch import default_python, launch
from .processes import ProcessSystem, this_system
from .torch_state import TorchDevice, TorchState, probe

__all__ = ["Job", "Outcome", "TorchDevice", "TorchState", "probe", "start", "start_child"]

AnyJob = TypeVar("AnyJob", bound="Job")

WORKER = "JointRegSegLib.service.worker"
CANCEL_SECONDS = 3.0
TERMINATE_SECONDS = 2.0
SETTLE_SECONDS = 1.0
_LOG_LINES = 1000
# After these the log says more than the message does; after others the work folder goes at once.
_LOG_MATTERS = frozenset(
    {
        Code.INTERNAL,
        Code.OUT_OF_MEMORY,
        Code.RESULT_INVALID,
        Code.TORCH_BROKEN,
        Code.WORKER_DIED,
        Code.WORKER_NOT_STARTED,
    }
)


@dataclass(frozen=True)
class Outcome:
    """How a run ended: exactly one of the two is set."""

    result: Result | None = None
    error: JobError | None = None


def start(
    request: Request,
    python: str | None = None,
    work_folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    module: str = WORKER,
) -> Job:
    """Start a worker on a request and return at once.

    Args:
        request: what to run.
        python: executable of the worker; inside Slicer PythonSlicer, elsewhere this process's own where None.
        work_folder: handed over to the job, with all that lies in it (the exported inputs, say): deleted when the run
            is over, except after a failure that only its log explains. A new temporary folder where None.
        environment: what the worker's environment starts from; this process's own where None.
        module: the worker's main module.

    Raises:
        JobError: WORKER_NOT_STARTED.
    """
    if request.start not in (START_AUTO, START_AS_PLACED):
        request = dataclasses.replace(request, start=str(Path(request.start).absolute()))
    return start_child(Job, request.to_json(), request.output, module, python, work_folder, environment)


def start_child(
    kind: type[AnyJob],
    request: str,
    output: Path,
    module: str,
    python: str | None = None,
    work_folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AnyJob:
    """Start `python -m module --request FILE --cancel FILE` and follow it; as `start` otherwise.

    Args:
        kind: what follows it.
        request: text of the request's file.
        output: the folder that it writes.
    """
    python = python or default_python()
    try:
        folder = work_folder.absolute() if work_folder else Path(tempfile.mkdtemp(prefix="jointregseg-"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cancel").unlink(missing_ok=True)
        (folder / "request.json").write_text(request, encoding="utf-8")
    except OSError as problem:
        raise JobError(
            Code.WORKER_NOT_STARTED,
            f"The work folder {work_folder or tempfile.gettempdir()} cannot be written: {problem.strerror}.",
            "Check its permissions and the free space on its disk.",
        ) from problem
    system = this_system()
    arguments = ["--request", str(folder / "request.json"), "--cancel", str(folder / "cancel")]
    try:
        process = launch(python, module, arguments, folder, environment or os.environ, system)
    except JobError:
        if work_folder is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return kind(process, output, folder, system)


class Job:
    """A running worker. Every method may be called at any time; only `wait` and `cancel_and_wait` block.

    Attributes:
        patience: seconds from a cancel until the worker is terminated.
    """

    patience = CANCEL_SECONDS

    def __init__(self, process: subprocess.Popen[bytes], output: Path, folder: Path, system: ProcessSystem) -> None:
        self._process = process
        self._output = output.absolute()
        self._folder = folder
        self._system = system
        self._files = this_file_system()
        self._absent_parents = missing_parents(self._output)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._log_lock = threading.Lock()
        self._worker_pid: int | None = None
        self._result: Event | None = None
        self._error: Event | None = None
        self._cancelled = False
        self._outcome: Outcome | None = None
        self._ended = threading.Event()
        self._greet()
        self._readers = [
            self._thread(self._read, process.stdout, "events"),
            self._thread(self._read, process.stderr, "log"),
        ]
        self._thread(self._supervise, None, "supervisor")

    @property
    def pid(self) -> int:
        """The number of the process that was started; inside Slicer the launcher's."""
        return self._process.pid

    @property
    def work_folder(self) -> Path:
        """Where request and log lie while the run goes on and after it failed."""
        return self._folder

    @property
    def log_path(self) -> Path:
        """The file with everything that the worker printed; exists after failures that need it."""
        return self._folder / "worker.log"

    @property
    def log(self) -> list[str]:
        """The latest lines that the worker and its libraries printed."""
        with self._log_lock:
            return list(self._log)

    def drain(self) -> list[Event]:
        """The events since the last call."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def poll(self) -> Outcome | None:
        """How the run ended, or None while it goes on; once set, no process and no unfinished output is left."""
        return self._outcome if self._ended.is_set() else None

    def wait(self, on_event: Callable[[Event], None] | None = None, timeout: float | None = None) -> Result:
        """Wait for the end.

        Args:
            on_event: called in this thread with every event.
            timeout: seconds; the run goes on after them.

        Raises:
            JobError: why there is no result.
            TimeoutError: it is not over yet.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            ended = self._ended.wait(0.05)
            for event in self.drain():
                if on_event is not None:
                    on_event(event)
            if ended:
                break
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"The run did not end within {timeout} s.")
        if self._outcome is None or self._outcome.result is None:
            raise self._outcome.error if self._outcome and self._outcome.error else self._died(0)
        return self._outcome.result

    def cancel(self) -> None:
        """Ask for the end and return; a worker that does not heed is terminated after 3 s and killed after 2 s more."""
        if self._cancelled or self._ended.is_set():
            return
        self._cancelled = True
        try:
            (self._folder / "cancel").touch()
        except OSError:
            self._system.terminate_tree(self.pid)
        self._thread(self._escalate, None, "cancel")

    def cancel_and_wait(self) -> Outcome:
        """Cancel, and return when nothing of the run is left; a result that was already there stays."""
        self.cancel()
        self._ended.wait()
        return self._outcome or Outcome(error=self._died(0))

    def kill(self) -> None:
        """End the worker at once; what it left is then removed as after a cancel."""
        self._cancelled = True
        if not self._ended.is_set():
            self._system.kill_tree(self.pid)

    def _thread(self, work: Callable[..., None], stream: IO[bytes] | None, name: str) -> threading.Thread:
        thread = threading.Thread(
            target=work, args=(stream,) if stream else (), name=f"jointregseg {name}", daemon=True
        )
        thread.start()
        return thread

    def _greet(self) -> None:
        # The worker ends when this pipe closes, but only after it has had a byte through it.
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(b"\n")
                self._process.stdin.flush()
        except OSError:
            return

    def _read(self, stream: IO[bytes]) -> None:
        for raw in stream:
            line = raw.decode("utf-8", errors="replace").rstrip("\r\n")
            event = Event.decode(line)
            if event is None:
                self._keep(line)
            elif event.kind is Kind.LOG and "pid" in event.data:
                self._worker_pid = int(event.data["pid"])
            else:
                if event.kind is Kind.RESULT:
                    self._result = event
                elif event.kind is Kind.ERROR:
                    self._error = event
                self._events.put(event)

    def _keep(self, line: str) -> None:
        with self._log_lock:
            self._log.append(line)
            try:
                with self.log_path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError:
                return

    def _escalate(self) -> None:
        if self._ended.wait(self.patience):
            return
        self._system.terminate_tree(self.pid)
        if not self._ended.wait(TERMINATE_SECONDS):
            self._system.kill_tree(self.pid)

    def _supervise(self) -> None:
        try:
            status = self._process.wait()
            self._end_descendants()
            for reader in self._readers:
                reader.join(SETTLE_SECONDS)
            self._outcome = self._judge(status)
            self._tidy(self._outcome)
        finally:
            self._ended.set()

    def _tidy(self, outcome: Outcome) -> None:
        if outcome.result is None:
            clear_leftovers(self._output, dead=self._worker_pid)
            remove_empty(self._absent_parents)
        if outcome.error is None or outcome.error.code not in _LOG_MATTERS:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _end_descendants(self) -> None:
        # A launcher may end before the worker behind it; that one gets its time to tidy up.
        patience = self.patience + TERMINATE_SECONDS if self._cancelled else SETTLE_SECONDS
        if self._worker_pid not in (None, self.pid):
            self._until_gone(patience, worker_only=True)
        self._system.kill_tree(self.pid)
        self._until_gone(SETTLE_SECONDS)

    def _until_gone(self, seconds: float, worker_only: bool = False) -> None:
        deadline = time.monotonic() + seconds
        while self._system.tree_alive(self.pid) and time.monotonic() < deadline:
            if worker_only and self._worker_pid is not None and not self._files.alive(self._worker_pid):
                return
            time.sleep(0.02)

    def _judge(self, status: int) -> Outcome:
        if self._result is not None and status == 0:
            try:
                return self._opened(self._result)
            except JobError as error:
                return Outcome(error=error)
        if self._cancelled:
            return Outcome(error=JobError(Code.CANCELLED, "The run was cancelled."))
        if self._error is not None:
            return Outcome(error=_as_job_error(self._error))
        return Outcome(error=self._died(status))

    def _opened(self, event: Event) -> Outcome:
        return Outcome(result=Result.open(Path(event.data["folder"])))

    def _died(self, status: int) -> JobError:
        last = [line for line in self.log if line.strip()][-3:]
        said = f" Its last words: {' | '.join(last)}" if last else ""
        return JobError(
            Code.WORKER_DIED,
            f"The worker process {self._system.describe_exit(status)} without a result.{said}",
            "The system may have run out of memory: close other programs or choose the quality fast. "
            f"The log is {self.log_path}.",
        )


def _as_job_error(event: Event) -> JobError:
    try:
        code = Code(event.code)
    except ValueError:
        code = Code.INTERNAL
    return JobError(code, event.message, event.advice)
