"""One network, timed in its own process: `python -m Testing.benchmarks.network_run JOB`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from JointRegSegLib import networks

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


def fastest(work: Callable[[], object], device: str, repeats: int = _REPEATS) -> float:
    """Seconds of the fastest of some repeats, after one that does not count."""
    seconds = []
    for _ in range(1 + repeats):
        begun = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])


def rate(device: str) -> float:
    """Multiply-adds per second of a float32 matrix product on this machine."""
    n = _MATRIX[device]
    a, b = torch.randn(2, n, n, device=device)
    return n**3 / fastest(lambda: a @ b, device, _PRODUCTS)


def main() -> None:
    """Time one job."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    device = job["device"]
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no CUDA device")
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    network, count = build(job["network"], job["classes"])
    network.to(device)
    images = [torch.rand(1, 1, *job["size"], device=device) for _ in range(count)]
    work = pass_of(network, images, job["training"])
    outcome = {
        "seconds": fastest(work, device),
        "multiply_adds": multiply_adds(work),
        "rate": rate(device),
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    if device == "cuda":
        outcome["peak_mb"] = torch.cuda.max_memory_allocated() / 2**20
    Path(job["outcome"]).write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()
