"""What a joint model offers: padding and cropping, groups of parameters, and which of them a loss reaches."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import torch
from torch import Tensor, nn

from JointRegSegLib.fields import warp
from JointRegSegLib.networks import (
    BOTH,
    Group,
    InputSpec,
    JointModel,
    JointOutput,
    Task,
    TwoNetModel,
    reached_groups,
)
from Testing.engine.network_cases import SmallReg, SmallSeg, check_groups
from Testing.engine.tensor_cases import texture

SHAPE = (8, 12, 16)
ODD = (7, 10, 13)


class Shared(JointModel):
    """An encoder for both tasks; takes one size only."""

    input_spec = InputSpec(1, fixed_size=SHAPE)
    capabilities = frozenset({"field", "segmentation"})

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv3d(1, 2, 3, padding=1)
        self.reg, self.seg = nn.Conv3d(4, 3, 1), nn.Conv3d(2, 5, 1)

    def forward(self, moving: Tensor, fixed: Tensor, tasks: Collection[Task] = BOTH) -> JointOutput:
        m, f = self.encoder(moving), self.encoder(fixed)
        return JointOutput(
            field=self.reg(torch.cat([m, f], 1)) if "reg" in tasks else None,
            seg_fixed=self.seg(f) if "seg" in tasks else None,
        )

    def groups(self) -> dict[Group, list[nn.Parameter]]:
        return {
            "enc": list(self.encoder.parameters()),
            "reg": list(self.reg.parameters()),
            "seg": list(self.seg.parameters()),
        }


@pytest.fixture
def model() -> TwoNetModel:
    torch.manual_seed(0)
    return TwoNetModel(SmallReg(), SmallSeg())


def _pair(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    return texture(shape, seed=1, dtype=torch.float32), texture(shape, seed=2, dtype=torch.float32)


def test_a_task_not_asked_for_is_not_computed(model: TwoNetModel) -> None:
    moving, fixed = _pair(SHAPE)
    both = model(moving, fixed)
    assert both.field.shape == (1, 3, *SHAPE)
    assert both.seg_moving.shape == both.seg_fixed.shape == (1, 3, *SHAPE)
    reg, seg = model(moving, fixed, ("reg",)), model(moving, fixed, ("seg",))
    assert torch.equal(reg.field, both.field)
    assert reg.seg_moving is reg.seg_fixed is seg.field is None
    assert torch.equal(seg.seg_fixed, both.seg_fixed)
    assert torch.equal(seg.seg_moving, both.seg_moving)


def test_two_networks_need_what_divides_for_both(model: TwoNetModel) -> None:
    assert model.input_spec == InputSpec(4)
    assert TwoNetModel(SmallReg(), SmallSeg(), "zscore").input_spec.intensity == "zscore"


def test_any_size_comes_back_in_its_own_shape(model: TwoNetModel) -> None:
    moving, fixed = _pair(ODD)
    assert model.register(moving, fixed).shape == (1, 3, *ODD)
    assert model.segment(fixed).shape == (1, 3, *ODD)


def test_padding_repeats_the_last_slices(model: TwoNetModel) -> None:
    _, fixed = _pair(ODD)
    grown = fixed
    for axis, n in zip((2, 3, 4), SHAPE, strict=True):
        index = torch.arange(n).clamp(max=grown.shape[axis] - 1)
        grown = grown.index_select(axis, index)
    expected = model(grown, grown)
    part = (..., slice(ODD[0]), slice(ODD[1]), slice(ODD[2]))
    assert torch.equal(model.segment(fixed), expected.seg_fixed[part])
    assert torch.equal(model.register(fixed, fixed), expected.field[part])


def test_a_suitable_size_is_not_padded(model: TwoNetModel) -> None:
    moving, fixed = _pair(SHAPE)
    out = model(moving, fixed)
    assert torch.equal(model.register(moving, fixed), out.field)
    assert torch.equal(model.segment(moving), out.seg_moving)


def test_a_model_of_one_size_refuses_others_and_segments_through_a_pair() -> None:
    model = Shared()
    moving, fixed = _pair(SHAPE)
    assert torch.equal(model.segment(fixed), model(moving, fixed).seg_fixed)
    with pytest.raises(ValueError, match=r"\(7, 10, 13\)"):
        model.segment(_pair(ODD)[0])
    with pytest.raises(ValueError, match=r"\(8, 12, 16\)"):
        model.register(*_pair(ODD))


def test_groups_are_disjoint_and_cover_the_model(model: TwoNetModel) -> None:
    check_groups(model)
    check_groups(Shared())


def test_a_loss_reaches_what_it_depends_on(model: TwoNetModel) -> None:
    moving, fixed = _pair(SHAPE)
    out = model(moving, fixed)
    labels = out.seg_moving.softmax(1)
    assert reached_groups((warp(moving, out.field) - fixed).square().mean(), model) == {"reg"}
    assert reached_groups(out.seg_fixed.square().mean(), model) == {"seg"}
    assert reached_groups(warp(labels, out.field).square().mean(), model) == {"reg", "seg"}
    assert reached_groups(warp(labels.detach(), out.field).square().mean(), model) == {"reg"}
    assert reached_groups(moving.mean(), model) == set()


def test_a_gradient_of_zero_reaches_nothing(model: TwoNetModel) -> None:
    """The graph is there, the gradient is not: so it is with a term of which only the other side is trained."""
    out = model(*_pair(SHAPE))
    assert reached_groups((0.0 * out.seg_fixed).sum() + out.field.sum(), model) == {"reg"}


def test_what_is_frozen_is_not_reached(model: TwoNetModel) -> None:
    model.seg_net.requires_grad_(False)
    out = model(*_pair(SHAPE))
    loss = warp(out.seg_moving.softmax(1), out.field).square().mean()
    assert reached_groups(loss, model) == {"reg"}
    assert reached_groups(out.seg_fixed.mean(), model) == set()


def test_asking_leaves_the_graph_and_the_gradients_alone() -> None:
    model = Shared()
    out = model(*_pair(SHAPE))
    assert reached_groups(out.field.sum(), model) == {"enc", "reg"}
    assert reached_groups(out.seg_fixed.sum(), model) == {"enc", "seg"}
    assert all(p.grad is None for p in model.parameters())
    (out.field.sum() + out.seg_fixed.sum()).backward()
    assert all(p.grad is not None for p in model.parameters())
