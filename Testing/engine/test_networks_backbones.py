"""The backbones: their published sizes, their grids, and how they begin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from JointRegSegLib.networks import (
    Backbone,
    FlowHead,
    ObeliskRegistration,
    ObeliskSegmentation,
    TwoNetModel,
    UNetLight,
    VoxelMorph,
    conv_block,
    placed,
    reached_groups,
)
from Testing.engine.network_cases import check_groups
from Testing.engine.tensor_cases import largest, texture

REG: list[Callable[[], Backbone]] = [VoxelMorph, ObeliskRegistration]
SEG: list[Callable[[int], Backbone]] = [UNetLight, ObeliskSegmentation]


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _image(shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    return texture(shape, seed=seed, dtype=torch.float32)


@pytest.mark.parametrize(("classes", "parameters"), [(9, 229_217), (11, 230_129), (57, 253_313)])
def test_the_obelisk_segmenter_has_its_published_size(classes: int, parameters: int) -> None:
    """About 230 thousand in JRSS (Shi et al., BSPC 2023)."""
    assert _parameters(ObeliskSegmentation(classes)) == parameters


def test_the_others_have_their_published_sizes() -> None:
    assert _parameters(ObeliskRegistration()) == 258_155
    assert _parameters(VoxelMorph()) == 253_627
    assert _parameters(UNetLight(32)) == 874_864


@pytest.mark.parametrize("make", REG)
def test_a_registration_network_begins_near_the_identity(make: Callable[[], Backbone]) -> None:
    torch.manual_seed(0)
    shape = (16, 32, 48)
    field = make()(_image(shape, 1), _image(shape, 2))
    assert field.shape == (1, 3, *shape)
    assert 0 < largest(field.detach()) < 0.05


@pytest.mark.parametrize("make", SEG)
def test_a_segmentation_network_gives_logits_of_each_class(make: Callable[[int], Backbone]) -> None:
    network = make(5)
    shape = tuple(network.divisor * n for n in (1, 3, 2))
    logits = network(torch.cat([_image(shape, 1), _image(shape, 2)]))
    assert logits.shape == (2, 5, *shape)


@pytest.mark.parametrize(
    "make", [VoxelMorph, ObeliskRegistration, lambda: UNetLight(3), lambda: ObeliskSegmentation(3)]
)
def test_every_parameter_is_used(make: Callable[[], Backbone]) -> None:
    torch.manual_seed(0)
    network = make()
    for head in network.modules():  # a head that begins at zero would hide what is before it
        if isinstance(head, nn.Conv3d) and head.out_channels == 3:
            nn.init.normal_(head.weight)
    images = [_image((32, 32, 32), seed) for seed in (1, 2)]
    out = network(*images) if isinstance(network, VoxelMorph | ObeliskRegistration) else network(images[0])
    out.square().mean().backward()
    unused = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # Normalisation takes away what a bias before it adds.
    assert [name for name in unused if not name.endswith("bias")] == []


def test_voxelmorph_speaks_of_shares_of_half_the_image() -> None:
    network = VoxelMorph()
    nn.init.zeros_(network.head.weight)
    network.head.bias.data = torch.tensor([0.5, -1.0, 0.1])
    field = network(_image((16, 32, 48), 1), _image((16, 32, 48), 2))
    expected = torch.tensor([0.5 * 15 / 2, -31 / 2, 0.1 * 47 / 2]).view(1, 3, 1, 1, 1)
    assert torch.allclose(field, expected.expand_as(field))


def test_a_field_begins_at_zero_where_it_sees_nothing() -> None:
    assert (FlowHead(4)(torch.zeros(1, 4, 3, 3, 3)) == 0).all()


@pytest.mark.parametrize("make", REG)
def test_a_field_is_in_single_precision_under_autocast_too(make: Callable[[], Backbone]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        field = make()(_image((16, 16, 32), 1), _image((16, 16, 32), 2))
    assert field.dtype == torch.float32


def test_a_block_without_leak_or_norm_is_convolution_and_relu() -> None:
    block = conv_block(2, 3, stride=2, norm=None, leak=0.0)
    image = torch.randn(1, 2, 6, 6, 6)
    assert torch.equal(block(image), block[0](image).relu())
    assert block(image).shape == (1, 3, 3, 3, 3)


@pytest.mark.parametrize("networks", [(VoxelMorph, UNetLight), (ObeliskRegistration, ObeliskSegmentation)])
def test_they_stand_in_a_model_of_two_networks(networks: tuple) -> None:
    torch.manual_seed(0)
    reg, seg = networks
    model = TwoNetModel(reg(), seg(4))
    check_groups(model)
    assert model.input_spec.divisor == reg.divisor
    moving, fixed = _image((14, 18, 20), 1), _image((14, 18, 20), 2)
    field, logits = model.register(moving, fixed), model.segment(fixed)
    assert field.shape == (1, 3, 14, 18, 20)
    assert logits.shape == (1, 4, 14, 18, 20)
    assert reached_groups(field.square().mean(), model) == {"reg"}
    assert reached_groups(logits.square().mean(), model) == {"seg"}


@pytest.mark.parametrize("make", REG)
def test_layout_changes_speed_alone(make: Callable[[], Backbone]) -> None:
    torch.manual_seed(0)
    network = make().eval()
    nn.init.normal_(network.head.weight)
    moving, fixed = _image((16, 16, 32), 1), _image((16, 16, 32), 2)
    names = list(network.state_dict())
    plain = network(moving, fixed)
    same = placed(network, "cpu")
    assert same is network
    assert list(same.state_dict()) == names
    assert torch.allclose(same(moving, fixed), plain, rtol=1e-4, atol=1e-4 * plain.abs().max().item())
