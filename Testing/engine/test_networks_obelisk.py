"""The obelisk layer reads the image where its offsets say; its plug-ins have the published offsets and grids."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from JointRegSegLib.fields import identity, resize_image, sample, shape_of
from JointRegSegLib.networks import ObeliskLayer, ObeliskRegistration, ObeliskSegmentation
from Testing.engine.tensor_cases import texture

SHAPE = (16, 24, 40)
COARSE = (2, 3, 5)


def _layer(inputs: int = 1, offsets: int = 4) -> ObeliskLayer:
    torch.manual_seed(0)
    return ObeliskLayer(inputs, offsets, groups=2, outputs=3, shrink=(8, 8, 8), leak=0.2)


def _image(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> Tensor:
    return texture(shape, seed=seed, dtype=torch.float32)


def test_with_offsets_of_zero_it_reads_the_image_at_its_grid() -> None:
    """The corners of grid and image coincide; one-hot weights then pass the image on."""
    layer, image = _layer(), functional.avg_pool3d(_image(), 3, 1, 1)
    torch.nn.init.zeros_(layer.offsets)
    coarse = resize_image(image, COARSE)
    assert torch.allclose(layer.sampled(image), coarse.expand(1, 4, *COARSE), atol=1e-5)
    torch.nn.init.zeros_(layer.first.weight)
    layer.first.weight.data[5, 1] = 1.0
    mixed = layer.first(layer.sampled(image))
    assert torch.allclose(mixed[:, 5:6], coarse, atol=1e-5)
    assert (mixed[:, :5] == 0).all()
    assert (mixed[:, 6:] == 0).all()


def test_a_grid_as_fine_as_the_image_is_the_image() -> None:
    layer = ObeliskLayer(1, 2, groups=2, outputs=3, shrink=(1, 1, 1), leak=0.2)
    torch.nn.init.zeros_(layer.offsets)
    assert torch.allclose(layer.sampled(_image()), _image().expand(1, 2, *SHAPE), atol=1e-5)


@pytest.mark.parametrize("axis", range(3))
def test_an_offset_reads_that_far_away(axis: int) -> None:
    """1 is half the image; beyond its edge there is 0."""
    layer, image = _layer(offsets=2), _image() + 1.0
    layer.offsets.data.zero_()
    layer.offsets.data[1, axis] = 0.5
    step = [(n - 1) / (c - 1) for n, c in zip(SHAPE, COARSE, strict=True)]
    places = identity(COARSE, image) * torch.tensor(step).view(1, 3, 1, 1, 1)
    places[:, axis] += 0.5 * (SHAPE[axis] - 1) / 2
    found = layer.sampled(image)
    assert torch.allclose(found[:, 1:], sample(image, places, padding="zeros"), atol=1e-4)
    assert (found[:, 1].select(axis + 1, -1) == 0).all()
    assert (found[:, 0] > 0.9).all()


def test_each_image_of_a_batch_and_each_channel_is_read_alike() -> None:
    """Channels of one image follow one another, each with all its offsets."""
    layer = _layer(inputs=2)
    images = torch.stack([torch.cat([_image(seed=s), _image(seed=s + 1)], 1)[0] for s in (1, 3, 5)])
    found = layer.sampled(images)
    assert found.shape == (3, 8, *COARSE)
    single = _layer(inputs=1)
    for i in range(3):
        for c in range(2):
            alone = single.sampled(images[i : i + 1, c : c + 1])
            assert torch.allclose(found[i : i + 1, 4 * c : 4 * c + 4], alone, atol=1e-6)


def test_offsets_learn() -> None:
    """The gradient is the derivative, by finite differences."""
    layer, image = _layer(offsets=2).double(), texture((8, 8, 16), 1.0)

    def read(offsets: Tensor) -> Tensor:
        return torch.func.functional_call(_Sampler(layer), {"layer.offsets": offsets}, (image,))

    assert torch.autograd.gradcheck(read, (layer.offsets,))


class _Sampler(torch.nn.Module):
    def __init__(self, layer: ObeliskLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, image: Tensor) -> Tensor:
        return self.layer.sampled(image)


@pytest.mark.parametrize("network", [ObeliskSegmentation(4), ObeliskRegistration()])
def test_plug_ins_have_512_and_128_offsets_on_an_eighth_and_a_quarter(network: torch.nn.Module) -> None:
    deep, shallow = network.body.deep, network.body.shallow
    assert deep.offsets.shape == (512, 3)
    assert shallow.offsets.shape == (128, 3)
    image = torch.cat([_image()] * (deep.first.weight.shape[1] * 4 // 512), 1)
    assert shape_of(deep(image)) == (2, 3, 5)
    assert shape_of(shallow(image)) == (4, 6, 10)


def test_the_public_grid_is_finer_along_the_second_axis() -> None:
    network = ObeliskSegmentation(4, legacy_grid=True)
    assert shape_of(network.body.deep(_image())) == (2, 6, 5)
    assert shape_of(network(_image())) == SHAPE
    assert network.state_dict().keys() == ObeliskSegmentation(4).state_dict().keys()


def test_dropout_is_for_training_and_where_asked() -> None:
    image = _image((8, 8, 16))
    for dropout, differs in ((0.0, False), (0.5, True)):
        torch.manual_seed(0)
        network = ObeliskSegmentation(4, dropout=dropout)
        first, second = network(image), network(image)
        assert torch.equal(first, second) != differs
        network.eval()
        assert torch.equal(network(image), network(image))


def test_the_leak_is_the_papers_unless_asked() -> None:
    image = _image((8, 8, 16))
    slopes = {m.negative_slope for m in ObeliskSegmentation(4).modules() if isinstance(m, torch.nn.LeakyReLU)}
    assert slopes == {0.2}
    torch.manual_seed(0)
    paper = ObeliskSegmentation(4)
    torch.manual_seed(0)
    public = ObeliskSegmentation(4, leak=0.025)
    assert not torch.allclose(paper.body.deep(image), public.body.deep(image))
