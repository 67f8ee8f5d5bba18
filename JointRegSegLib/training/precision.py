"""The number format that networks compute in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, wanted: bool = True) -> AbstractContextManager[object]:
    """Convolutions and matrix products in bfloat16, where it is wanted and the device has units for it.

    Those are CUDA devices since Ampere, and Intel's CPUs since Sapphire Rapids (AMX), where a step of a U-Net takes
    half its time. Other CPUs only imitate bfloat16 and are slower by it.
    """
    has_units = {"cuda": torch.cuda.is_bf16_supported, "cpu": _has_amx}.get(device.type)
    if wanted and has_units is not None and has_units():
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _has_amx() -> bool:
    tell = getattr(torch.cpu, "get_capabilities", None)  # older ones have no such function
    return tell is not None and bool(tell().get("amx_bf16"))
