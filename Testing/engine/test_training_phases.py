"""What a phase trains and what it leaves alone; terms, schedules, and activations that are computed twice."""

from __future__ import annotations

import copy
from itertools import islice

import pytest
import torch
from torch import nn

from JointRegSegLib.networks.reach import reached_groups
from JointRegSegLib.training.phases import Batch, Phase, training_only
from JointRegSegLib.training.recomputing import recompute_activations
from JointRegSegLib.training.schedules import at, decayed, ramp
from JointRegSegLib.training.terms import LossTerm, weighted_sum
from Testing.engine.tensor_cases import texture
from Testing.engine.training_cases import (
    CLASSES,
    SHAPE,
    Alternating,
    ToyModel,
    entropy,
    similarity,
    toy_dataset,
)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return texture(SHAPE, dtype=torch.float32), texture(SHAPE, seed=1, dtype=torch.float32)


def test_training_only_frees_one_group_and_puts_all_back() -> None:
    model = ToyModel(norm=True, dropout=0.5)
    model.reg[0].weight.requires_grad_(False)
    model.seg[1].eval()
    before = {name: module.training for name, module in model.named_modules()}
    frozen = {name: p.requires_grad for name, p in model.named_parameters()}
    with training_only(model, "seg"):
        assert {name for name, p in model.named_parameters() if p.requires_grad} == {
            name for name, _ in model.named_parameters() if name.startswith("seg")
        }
        modes = {name: module.training for name, module in model.named_modules()}
        assert all(mode is name.startswith("seg") for name, mode in modes.items() if name)
        with training_only(model):
            assert not any(p.requires_grad for p in model.parameters())
            assert not any(module.training for module in model.modules())
        assert {name: module.training for name, module in model.named_modules()} == modes
    assert {name: module.training for name, module in model.named_modules()} == before
    assert {name: p.requires_grad for name, p in model.named_parameters()} == frozen


def test_training_only_puts_all_back_after_an_error() -> None:
    model = ToyModel()
    with pytest.raises(KeyError), training_only(model, "seg"):
        raise KeyError
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.modules())
    with pytest.raises(ValueError, match="decoder"), training_only(model, "decoder"):
        pass


def test_a_group_that_is_read_has_gradients_in_eval_mode() -> None:
    model = ToyModel(norm=True)
    with training_only(model, "reg", reading=("seg",)):
        assert all(p.requires_grad for p in model.parameters())
        assert not any(module.training for module in model.seg.modules())
        assert all(module.training for module in model.reg.modules())


def test_frozen_running_statistics_stay() -> None:
    model = ToyModel(norm=True)
    before = copy.deepcopy(model.seg.state_dict())
    with training_only(model, "reg"):
        model(*pair())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.seg.state_dict().items())
    assert model.reg[1].num_batches_tracked == 1


def test_a_strategy_is_a_sequence_of_phases() -> None:
    dataset = toy_dataset()
    strategy = Alternating(ToyModel(), dataset)
    names = [phase.name for phase in strategy.phases()]
    assert names == ["first reg", "first seg"] + ["label", "reg", "seg"] * 4
    assert [phase.steps for phase in islice(strategy.phases(), 5)] == [3, 3, 0, 2, 1]
    assert strategy.total_steps == sum(phase.steps for phase in strategy.phases())
    with pytest.raises(ValueError, match="idle"):
        Phase("idle", 3)


def test_a_batch_stacks_a_column() -> None:
    dataset = toy_dataset()
    items = ((dataset["s0"], dataset["s2"]), (dataset["s1"], dataset["s3"]))
    batch = Batch(items, 0, ())
    assert batch.images(0).shape == (2, 1, *SHAPE)
    assert torch.equal(batch.images(1)[0], dataset["s2"].image[0])
    labels = batch.labels(0)
    assert labels is not None
    assert labels.dtype == torch.int64
    assert batch.labels(1) is None
    assert Batch(((dataset["s0"],), (dataset["s2"],)), 0, ()).labels(0) is None


def test_terms_add_up_by_weight_and_reach_their_groups() -> None:
    dataset, model = toy_dataset(), ToyModel()
    batch = Batch(((dataset["s0"], dataset["s1"]), (dataset["s1"], dataset["s0"])), 0, ())
    terms = [
        LossTerm("sim", lambda b: similarity(b, model), 2.0, frozenset({"reg"})),
        LossTerm("ce", lambda b: entropy(b, model), ramp(1.0, 3.0, 4), frozenset({"seg"})),
        LossTerm("never", lambda b: 1 / 0, 0.0, frozenset({"seg"})),
    ]
    parts = [similarity(batch, model).mean().detach(), entropy(batch, model).mean().detach()]
    for step, weight in ((0, 1.0), (2, 2.0), (9, 3.0)):
        losses = weighted_sum(terms, batch, step)
        assert float(losses.total.detach()) == pytest.approx(float(2 * parts[0] + weight * parts[1]))
        assert {name: float(value) for name, value in losses.parts.items()} == pytest.approx(
            {"sim": float(parts[0]), "ce": float(parts[1])}
        )
        assert not any(value.requires_grad for value in losses.parts.values())
    for term in terms[:2]:
        assert reached_groups(term.fn(batch).mean(), model) == term.groups
    with pytest.raises(ValueError, match="no term"):
        weighted_sum(terms[2:], batch, 0)


def test_schedules() -> None:
    assert at(0.5, 100) == 0.5
    assert [at(decayed(1.0, 0.5, 10), step) for step in (0, 9, 10, 25)] == [1.0, 1.0, 0.5, 0.25]
    assert [at(ramp(10.0, 1.0, 300), step) for step in (0, 100, 300, 900)] == pytest.approx([10.0, 7.0, 1.0, 1.0])


class Blocks(nn.Module):
    """Two blocks with batch norm and dropout, nested as networks nest them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)

        def block(inputs: int) -> nn.Module:
            return nn.Sequential(
                nn.Conv3d(inputs, 4, 3, padding=1),
                nn.BatchNorm3d(4),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Dropout3d(0.5),
            )

        self.body = nn.Sequential(block(1), block(4), nn.Conv3d(4, CLASSES, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(image)
        return out


def test_recomputed_activations_give_the_same_gradients_and_statistics() -> None:
    kept, again = Blocks(), Blocks()
    recompute_activations(again)
    stored = []
    for model in (kept, again):
        sizes: dict[int, int] = {}

        def note(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        torch.manual_seed(7)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = model(texture((12, 12, 12), dtype=torch.float32)).square().mean()
        loss.backward()
        stored.append(sum(sizes.values()))
    for (name, a), b in zip(kept.named_parameters(), again.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert torch.equal(a.grad, b.grad), name
    assert kept.state_dict().keys() == again.state_dict().keys()
    for name, tensor in kept.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert kept.body[0][1].num_batches_tracked == 1
    assert stored[1] < 0.7 * stored[0]


def test_a_copy_of_a_recomputing_model_is_its_own() -> None:
    model = Blocks().eval()
    recompute_activations(model)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    image = texture((6, 6, 6), dtype=torch.float32)
    assert not twin(image).any()
    assert model(image).any()
