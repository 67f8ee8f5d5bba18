"""Which device computes."""

from __future__ import annotations

import SimpleITK as sitk
import torch

from ..fields import sample
from ..job import Code, Device, JobError
from .progress import Progress


def choose_device(wanted: Device, progress: Progress) -> torch.device:
    """The device to compute on; says so where it is not the one a user would expect.

    Raises `JobError` DEVICE_MISSING where CUDA was asked for and is absent.
    """
    if wanted is Device.CUDA and not torch.cuda.is_available():
        raise JobError(
            Code.DEVICE_MISSING,
            f"The device cuda was asked for, but PyTorch {torch.__version__} finds no CUDA GPU.",
            "Choose auto or cpu, or install a PyTorch build that fits the GPU and its driver.",
        )
    if wanted in (Device.CUDA, Device.AUTO) and torch.cuda.is_available():
        return torch.device("cuda")
    if wanted is Device.MPS:
        if _mps_works():
            return torch.device("mps")
        progress.caution(
            "device", "There is no Apple GPU that can do what the registration needs; the CPU computes instead."
        )
    return torch.device("cpu")


def limit_threads(count: int | None) -> None:
    """Let PyTorch and SimpleITK use `count` threads; None leaves both as they are.

    Raises `JobError` REQUEST_INVALID where there would be none.
    """
    if count is not None:
        if count < 1:
            raise JobError(Code.REQUEST_INVALID, f"threads is {count}.", "Give a number of 1 or more.")
        torch.set_num_threads(count)
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)


def describe(device: torch.device) -> str:
    """A device in words."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


def _mps_works() -> bool:
    """Whether the operations of the deformable stage run on Apple's GPU, found out by running them."""
    if not torch.backends.mps.is_available():
        return False
    try:
        image = torch.rand(1, 3, 4, 4, 4, device="mps")
        sample(image, image * 3).sum().item()
    except (RuntimeError, NotImplementedError):
        return False
    return True
