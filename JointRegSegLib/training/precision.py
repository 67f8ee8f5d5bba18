"""The number format that networks compute in."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, wanted: bool = True) -> AbstractContextManager[object]:
    """Convolutions and matrix products in bfloat16, where it is wanted and the device has units for it.

    Those are NVIDIA's cards since Ampere and AMD's, and Intel's CPUs since Sapphire Rapids (AMX), where the
    convolutions of a U-Net take about half their time. Other cards and CPUs only imitate bfloat16, slower.
    """
    has_units = {"cuda": _card_has_units, "cpu": _has_amx}.get(device.type)
    if wanted and has_units is not None and has_units():
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def _card_has_units() -> bool:
    tell = torch.cuda.is_bf16_supported  # which counts cards that imitate it, unless told not to
    if "including_emulation" in inspect.signature(tell).parameters:
        return bool(tell(including_emulation=False))
    return torch.version.hip is not None or torch.cuda.get_device_capability()[0] >= 8


def _has_amx() -> bool:
    tell = getattr(torch.cpu, "get_capabilities", None)  # older ones have no such function
    return tell is not None and bool(tell().get("amx_bf16"))
