"""The cases of a cohort on this machine: each place computes one case at a time, in a process of its own."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..job import Device, Request
from ..service.client import TorchState
from ..service.processes import usable_cores
from .task import Outcome, Task, run_task

GPU = "CUDA_VISIBLE_DEVICES"
_CORES_EACH, _GB_EACH = 2, 6.0
_POLL_SECONDS = 0.2
_SPARE_SHARE = 0.9


@dataclass(frozen=True)
class Place:
    """Where one case is computed at a time.

    Attributes:
        threads: CPU threads that it may use.
        memory_gb: the most memory to plan for, or None for what is free.
        environment: which GPU it sees, where there is one.
    """

    threads: int
    memory_gb: float | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def request(self, request: Request) -> Request:
        """A request as it is computed here; what it asks for itself comes first."""
        return replace(request, threads=request.threads or self.threads, memory_gb=request.memory_gb or self.memory_gb)


def places(workers: int | None, device: Device, state: TorchState, cores: int | None = None) -> list[Place]:
    """Share out this machine.

    A GPU computes one case at a time, so there is a place for each; without one, as many places as are asked for, or
    as have two cores and 6 GB each, with equal parts of cores and of 0.9 of the free memory.

    Args:
        workers: how many places at most, or None for what suits the machine.
        device: where the cases shall compute.
        state: what `service.client.probe` found.
        cores: CPU cores to share; those that this process may use where None.
    """
    cores = cores or usable_cores()
    free = next((found.free_gb for found in state.devices if found.kind == "cpu"), None)
    gpus = [found for found in state.devices if found.kind == "cuda"]
    if device is Device.MPS:
        return [Place(cores)]
    if gpus and device in (Device.AUTO, Device.CUDA):
        number = min(workers or len(gpus), len(gpus))
        visible = os.environ.get(GPU, ",".join(str(index) for index in range(len(gpus)))).split(",")
        return [Place(max(1, cores // number), None, {GPU: visible[index]}) for index in range(number)]
    number = workers or max(1, min(cores // _CORES_EACH, int((free or _GB_EACH) // _GB_EACH)))
    memory = None if free is None or number == 1 else _SPARE_SHARE * free / number
    return [Place(max(1, cores // number), memory)] * number


def compute(tasks: Sequence[tuple[Task, Request]], where: Sequence[Place]) -> Generator[str | Outcome, None, None]:
    """Compute the tasks, and tell an id when its case begins and an outcome when it ends.

    Closing the iterator, or an exception in whoever consumes it, cancels what runs and waits until it has ended.
    """
    waiting: queue.SimpleQueue[tuple[Task, Request]] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    told: queue.SimpleQueue[str | Outcome] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [
        threading.Thread(target=_work, args=(place, waiting, told.put, stop), name=f"place {number}", daemon=True)
        for number, place in enumerate(where[: len(tasks)])
    ]
    for thread in threads:
        thread.start()
    left = len(tasks)
    try:
        while left:
            try:
                event = told.get(timeout=_POLL_SECONDS)  # without a timeout Windows would not hear Ctrl-C
            except queue.Empty:
                continue
            left -= isinstance(event, Outcome)
            yield event
    finally:
        stop.set()
        if left and tasks:
            Path(tasks[0][0].cancel).touch()
        for thread in threads:
            thread.join()


def _work(
    place: Place,
    waiting: queue.SimpleQueue[tuple[Task, Request]],
    tell: Callable[[str | Outcome], None],
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            task, request = waiting.get_nowait()
        except queue.Empty:
            return
        tell(task.id)
        here = replace(task, request=place.request(request).to_json(), environment=place.environment)
        tell(run_task(here))
