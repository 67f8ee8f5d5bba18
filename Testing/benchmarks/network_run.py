"""One network or whole method, timed in its own process: `python -m Testing.benchmarks.network_run JOB`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from JointRegSegLib import networks

from .networks import Seconds

_MATRIX = {"cpu": 1024, "cuda": 8192}
_PRODUCTS = 50  # short, so that some of them have a busy machine for themselves
_REPEATS = 5


def build(name: str, classes: int) -> tuple[nn.Module, int]:
    """The network, and how many images it takes."""
    made: dict[str, tuple[Callable[[], nn.Module], int]] = {
        "voxelmorph": (networks.VoxelMorph, 2),
        "unet_light": (lambda: networks.UNetLight(classes), 1),
        "obelisk_reg": (networks.ObeliskRegistration, 2),
        "obelisk_seg": (lambda: networks.ObeliskSegmentation(classes), 1),
    }
    make, images = made[name]
    return make(), images


def pass_of(network: nn.Module, images: list[Tensor], training: bool) -> Callable[[], None]:
    """What is timed: a pass without gradients, or a step of Adam on the mean square of what comes out."""
    network.train(training)
    optimiser = torch.optim.Adam(network.parameters())

    def forward() -> None:
        with torch.inference_mode():
            network(*images)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        network(*images).square().mean().backward()
        optimiser.step()

    return step if training else forward


def multiply_adds(work: Callable[[], None]) -> int:
    """Of the convolutions and matrix products; sampling, normalisation and activations are not counted."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() // 2


def taken(work: Callable[[], object], device: str, repeats: int = _REPEATS) -> list[Seconds]:
    """What each of some repeats took; to be called after a pass that does not count."""
    found = []
    for _ in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append((time.perf_counter() - begun, time.process_time() - used))
    return found


def rates(device: str) -> Seconds:
    """Multiply-adds of a float32 matrix product on this machine per second, and per CPU second."""
    n = _MATRIX[device]
    a, b = torch.randn(2, n, n, device=device)
    a @ b
    seconds, cpu_seconds = fastest(taken(lambda: a @ b, device, _PRODUCTS))
    return n**3 / seconds, n**3 / cpu_seconds


def fastest(found: Sequence[Seconds]) -> Seconds:
    """The least of either."""
    return min(seconds for seconds, _ in found), min(cpu for _, cpu in found)


@dataclass(frozen=True)
class Timed:
    """What its repeats took, its multiply-adds, its parameters, and whether it computes in bfloat16."""

    found: list[Seconds]
    multiply_adds: int
    parameters: int
    bfloat16: bool = False


def timed_network(job: dict[str, Any]) -> Timed:
    """One network."""
    network, count = build(job["network"], job["classes"])
    network.to(job["device"])
    images = [torch.rand(1, 1, *job["size"], device=job["device"]) for _ in range(count)]
    work = pass_of(network, images, job["training"])
    work()
    return Timed(taken(work, job["device"]), multiply_adds(work), parameters_of(network))


def timed_method(job: dict[str, Any]) -> Timed:
    """A method's whole model; the pass whose multiply-adds are counted does not count in time."""
    from .networks_whole import Training, inference_of

    what = (job["network"], job["preset"], job["classes"], tuple(job["size"]), job["device"])
    if job["training"]:
        training = Training(*what)
        counted = multiply_adds(lambda: training.run(1))
        return Timed(training.run(job["repeats"]), counted, parameters_of(training.model), training.bfloat16)
    model, work = inference_of(*what)
    counted = multiply_adds(work)
    return Timed(taken(work, job["device"], job["repeats"]), counted, parameters_of(model))


def parameters_of(network: nn.Module) -> int:
    """How many numbers it learns."""
    return sum(p.numel() for p in network.parameters())


def main() -> None:
    """Time one job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    device = job["device"]
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no CUDA device")
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    timed = (timed_method if "preset" in job else timed_network)(job)
    (seconds, cpu_seconds), (rate, cpu_rate) = fastest(timed.found), rates(device)
    outcome = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "multiply_adds": timed.multiply_adds,
        "rate": rate,
        "cpu_rate": cpu_rate,
        "parameters": timed.parameters,
        "bfloat16": timed.bfloat16,
    }
    if device == "cuda":
        outcome["peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
