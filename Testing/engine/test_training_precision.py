"""Where networks compute in bfloat16."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from JointRegSegLib.training.precision import autocast

CPU = torch.device("cpu")


def _computed_in(*, wanted: bool) -> torch.dtype:
    with autocast(CPU, wanted):
        found: torch.dtype = nn.Conv3d(1, 2, 3)(torch.ones(1, 1, 4, 4, 4)).dtype
        return found


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_a_cpu_computes_in_bfloat16_where_it_has_units_for_it(
    amx: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx}, raising=False)
    assert _computed_in(wanted=wanted) is (torch.bfloat16 if amx and wanted else torch.float32)


def test_a_pytorch_that_does_not_tell_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert _computed_in(wanted=True) is torch.float32


@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize("told", [True, False], ids=["newer", "older"])
def test_a_card_that_imitates_bfloat16_computes_in_float32(
    units: bool, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newer(including_emulation: bool = True) -> bool:
        return units or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", newer if told else lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0) if units else (7, 5))
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype: nullcontext(dtype))
    with autocast(torch.device("cuda")) as found:
        assert found is (torch.bfloat16 if units else None)


def test_other_devices_compute_as_they_are() -> None:
    with autocast(torch.device("meta")):
        assert nn.Conv3d(1, 2, 3, device="meta")(torch.ones(1, 1, 4, 4, 4, device="meta")).dtype is torch.float32
