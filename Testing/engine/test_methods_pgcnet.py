"""PGCNet: its published sizes, its symmetry, what each term teaches, and a short run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from JointRegSegLib.fields import resize_field, warp
from JointRegSegLib.losses import soft_dice
from JointRegSegLib.methods.pgcnet.layers import ResidualBlock, correlation
from JointRegSegLib.methods.pgcnet.model import CoupledPyramid
from JointRegSegLib.methods.pgcnet.objectives import PairView, joint_terms
from JointRegSegLib.networks import InputSpec, placed
from JointRegSegLib.training.samplers import AtlasPairs
from JointRegSegLib.training.targets import one_hot
from Testing.engine.coupled_cases import (
    SMALL,
    size,
    small_dataset,
    small_subject,
)
from Testing.engine.method_cases import CLASSES, batch_of, check_reach, made, settings_of
from Testing.engine.network_cases import check_groups
from Testing.engine.tensor_cases import largest, noise, texture

SHORT = {"first_steps": 1, "joint_steps": 2}
SHARINGS = ["coupled", "encoder", "nothing"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pyramid(
    position: Any = "full",
    sharing: Any = "coupled",
    laid_out: bool = True,
    seed: int = 0,
    measure: Any = "mean",
    update: Any = "add",
    finest_level: Any = 1,
) -> CoupledPyramid:
    torch.manual_seed(seed)
    model = placed(CoupledPyramid(CLASSES, position, sharing, "minmax", measure, update, finest_level), "cpu")
    if laid_out:
        model.lay_out(SMALL)
    return model


def images() -> tuple[Tensor, Tensor]:
    return small_subject(0).image, small_subject(1).image


def fill_maps(model: CoupledPyramid) -> None:
    """Give the position maps numbers, as training does."""
    with torch.no_grad():
        for p in model.groups()["pos"]:
            p.normal_(0.0, 0.5)


def test_sizes_of_the_parts() -> None:
    model = CoupledPyramid(36, "none", "coupled")
    assert size(model.encoder) == 1_500_192
    assert size(model.estimators) == 981_012
    assert size(model.decoder) == 182_100


@pytest.mark.parametrize(("position", "numbers"), [("full", 47_001_600), ("axial", 15_872)])
def test_sizes_of_the_position_maps(position: Any, numbers: int) -> None:
    """On the grid of OASIS, from 8 channels on 160x192x144 voxels to 64 channels on an eighth of them."""
    model = CoupledPyramid(36, position, "coupled").to("meta")
    model.lay_out((160, 192, 144))
    assert sum(p.numel() for p in model.groups()["pos"]) == numbers


@pytest.mark.parametrize("sharing", SHARINGS)
def test_every_parameter_has_its_group(sharing: str) -> None:
    check_groups(pyramid(sharing=sharing))
    check_groups(pyramid("none", sharing))
    assert "pos" not in pyramid("none").groups()


def test_the_encoder_halves_the_grid_and_doubles_the_channels() -> None:
    encoder = pyramid().encoder
    shapes = [tuple(features.shape[1:]) for features in encoder(images()[0])]
    assert shapes == [(64, 2, 3, 2), (32, 4, 6, 4), (16, 8, 12, 8), (8, 16, 24, 16)]
    blocks = [sum(isinstance(module, ResidualBlock) for module in level) for level in encoder.levels]
    assert blocks == [0, 3, 5, 5]


@pytest.mark.parametrize(("radius", "channels"), [(1, 27), (2, 125)])
def test_correlation_has_a_channel_for_each_offset(radius: int, channels: int) -> None:
    a, b = noise((4, 5, 6), 3, 1), noise((4, 5, 6), 3, 2)
    found = correlation(a, b, radius)
    width = 2 * radius + 1
    assert found.shape == (1, channels, 4, 5, 6)
    assert torch.allclose(found[:, channels // 2], (a * b).mean(1))
    volume = found.view(width, width, width, 4, 5, 6)
    one_down = (a[:, :, :-1, 1:] * b[:, :, 1:, :-1]).mean(1)[0]
    assert torch.allclose(volume[radius + 1, radius - 1, radius][:-1, 1:], one_down)
    assert torch.equal(volume[radius + 1, radius, radius][-1], torch.zeros(5, 6, dtype=a.dtype))


@pytest.mark.parametrize("measure", ["mean", "sum"])
def test_gradients_of_the_correlation_are_those_of_its_differences(measure: Any) -> None:
    a, b = (noise((2, 3, 2), 2, seed).double().requires_grad_() for seed in (1, 2))
    assert torch.autograd.gradcheck(lambda x, y: correlation(x, y, measure=measure), (a, b))


def test_gradients_of_the_correlation_add_up_in_single_precision() -> None:
    """Rounded once: many positive numbers that are added up in half precision would be off by more."""
    halves = [noise((6, 6, 6), 2, seed).abs().add(0.5).bfloat16().requires_grad_() for seed in (1, 2)]
    wholes = [x.detach().float().requires_grad_() for x in halves]
    found = correlation(*halves, 2, "sum")
    weight = noise((6, 6, 6), 125, 3).abs().add(0.5).bfloat16()
    found.backward(weight)
    correlation(*wholes, 2, "sum").backward(weight.float())
    for whole, half in zip(wholes, halves, strict=True):
        assert half.grad is not None
        assert whole.grad is not None
        assert half.grad.dtype == torch.bfloat16
        assert torch.allclose(half.grad.float(), whole.grad, rtol=2**-8, atol=0)


@pytest.mark.parametrize("position", ["full", "axial"])
def test_position_maps_begin_as_if_there_were_none(position: str) -> None:
    moving, fixed = images()
    with_maps, without = pyramid(position)(moving, fixed), pyramid("none")(moving, fixed)
    assert torch.equal(with_maps.field, without.field)
    assert torch.equal(with_maps.seg_fixed, without.seg_fixed)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_exchanging_the_scans_exchanges_all_results(sharing: str) -> None:
    """Exactly: encoder, estimators and decoder are the same for both, position maps or not."""
    model = pyramid(sharing=sharing)
    fill_maps(model)
    moving, fixed = images()
    there, back = model(moving, fixed), model(fixed, moving)
    assert torch.equal(there.field, back.inverse_field)
    assert torch.equal(there.inverse_field, back.field)
    assert torch.equal(there.seg_moving, back.seg_fixed)
    assert torch.equal(there.seg_fixed, back.seg_moving)
    assert not torch.equal(there.field, back.field)
    assert not torch.equal(there.seg_moving, there.seg_fixed)


def test_it_begins_near_the_identity() -> None:
    model, (moving, fixed) = pyramid(), images()
    found = model(moving, fixed)
    assert 0 < largest(found.field.detach()) < 0.05
    alike = model(moving, moving)
    assert torch.equal(alike.field, alike.inverse_field)


def test_levels_go_from_coarse_to_fine() -> None:
    """Each field is the one before on the finer grid and what its estimator adds."""
    model, (moving, fixed) = pyramid(), images()
    found = model(moving, fixed)
    assert [tuple(level.field.shape[2:]) for level in found.pyramid] == [(2, 3, 2), (4, 6, 4), (8, 12, 8), SMALL]
    assert torch.equal(found.pyramid[-1].field, found.field)
    with torch.no_grad():
        for estimator in model.estimators:
            estimator.net[-1].weight.zero_()
            estimator.net[-1].bias.copy_(torch.tensor([0.0, 0.25, 0.0]))
        fields = [level.field for level in model(moving, fixed).pyramid]
    expected = 0.25
    for field, longer in zip(fields, [1.0, 5 / 2, 11 / 5, 23 / 11], strict=True):
        expected = 0.25 if longer == 1.0 else expected * longer + 0.25
        assert torch.allclose(field[:, 1], torch.tensor(expected), atol=1e-5)
        assert torch.equal(field[:, 0], torch.zeros_like(field[:, 0]))


@pytest.mark.parametrize("sharing", SHARINGS)
def test_no_more_is_computed_than_is_asked_for(sharing: str) -> None:
    model, (moving, fixed) = pyramid(sharing=sharing), images()
    both = model(moving, fixed)
    reg, seg = model(moving, fixed, ("reg",)), model(moving, fixed, ("seg",))
    assert reg.seg_moving is reg.seg_fixed is seg.field is seg.inverse_field is None
    assert torch.equal(reg.field, both.field)
    assert torch.equal(seg.seg_moving, both.seg_moving)
    assert torch.equal(seg.seg_fixed, both.seg_fixed)


def test_segmentation_sees_the_other_scan_where_tasks_are_coupled() -> None:
    moving, fixed = images()
    for sharing in SHARINGS:
        model = pyramid(sharing=sharing)
        alone = torch.equal(model(moving, fixed).seg_fixed, model.segment(fixed))
        assert alone is (sharing != "coupled")


@pytest.mark.parametrize("position", ["full", "axial"])
def test_position_maps_are_stretched_over_scans_of_another_size(position: str) -> None:
    model = pyramid(position)
    assert model.input_spec == InputSpec(8)
    other = texture((15, 21, 10), seed=3, dtype=torch.float32)
    without = model.register(other, other)
    assert without.shape == (1, 3, 15, 21, 10)
    fill_maps(model)
    pair = model.of_pair(other, other)
    assert torch.equal(pair.field, model.register(other, other))
    assert torch.equal(pair.seg_fixed, model.segment(other))
    assert not torch.allclose(pair.field, without, atol=1e-6)
    places = model.estimators[-1].position
    for table in places.tables:  # a slope along each axis stays one
        n = max(table.shape[2:])
        table.data.copy_(torch.linspace(0.0, 1.0, n).view([1, 1, *(n if m == n else 1 for m in table.shape[2:])]))
        if position == "full":
            table.data.copy_(torch.linspace(0.0, 1.0, table.shape[2]).view(1, 1, -1, 1, 1).expand_as(table))
    found = places(torch.zeros(1, 8, 5, 7, 9))[0, 0]
    assert torch.allclose(found[:, 0, 0], torch.linspace(0.0, 1.0, 5), atol=1e-6)


@pytest.mark.parametrize("position", ["full", "axial"])
def test_weights_bring_their_position_maps(position: str) -> None:
    trained, fresh = pyramid(position, seed=1), pyramid(position, laid_out=False)
    fill_maps(trained)
    fresh.load_state_dict(trained.state_dict())
    moving, fixed = images()
    assert torch.equal(fresh.register(moving, fixed), trained.register(moving, fixed))
    with pytest.raises(RuntimeError, match="tables"):
        pyramid("none").load_state_dict(trained.state_dict())


ALIGNS = {"enc", "reg", "pos"}
ALL = {"enc", "reg", "pos", "seg"}


@pytest.mark.parametrize(("sharing", "segments"), [("coupled", ALL), ("encoder", {"enc", "seg"}), ("nothing", {"seg"})])
def test_what_each_term_reaches(sharing: str, segments: set[str]) -> None:
    """Through the warped features segmentation teaches registration, but never the finest estimator."""
    model, loss = pyramid(sharing=sharing), settings_of("pgcnet").loss
    view = PairView(model, batch_of((small_subject(0), small_subject(1, known=False))), CLASSES)
    terms = joint_terms(loss)
    expected = {"similarity": ALIGNS, "smoothness": ALIGNS, "classification": segments, "overlap": segments}
    check_reach(terms, view, model, {**expected, "joint": ALL})
    if sharing == "coupled":
        for term in terms:
            levels = [_reached(term.fn(view).mean(), estimator) for estimator in model.estimators]
            assert levels == [True, True, True, term.name not in ("classification", "overlap")], term.name


def _reached(loss: Tensor, module: nn.Module) -> bool:
    gradients = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)
    return any(g is not None and bool(g.any()) for g in gradients)


def test_levels_may_be_composed_and_correlations_summed() -> None:
    """A composed field warps as the one from below, then the level's; with one of no slope both are the same."""
    moving, fixed = images()
    fields = {update: pyramid(update=update)(moving, fixed).field for update in ("add", "compose")}
    assert not torch.equal(fields["add"], fields["compose"])
    assert torch.allclose(fields["add"], fields["compose"], atol=1e-3)  # both are small at first
    composed = pyramid(update="compose")
    there, back = composed(moving, fixed), composed(fixed, moving)
    assert torch.equal(there.field, back.inverse_field)
    a, b = noise((4, 5, 6), 3, 1), noise((4, 5, 6), 3, 2)
    assert torch.allclose(correlation(a, b, measure="sum"), 3 * correlation(a, b))
    summed = pyramid(measure="sum")(moving, fixed).field
    assert not torch.allclose(summed, fields["add"], atol=1e-6)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_the_pyramid_may_end_on_half_of_the_grid(sharing: str) -> None:
    """Both tasks end there; fields and logits are enlarged, and exchanging the scans still exchanges them."""
    model, (moving, fixed) = pyramid(sharing=sharing, finest_level=2), images()
    fill_maps(model)
    there, back = model(moving, fixed), model(fixed, moving)
    assert [tuple(level.field.shape[2:]) for level in there.pyramid] == [(2, 3, 2), (4, 6, 4), (8, 12, 8)]
    assert torch.equal(there.field, resize_field(there.pyramid[-1].field, SMALL))
    assert there.seg_fixed.shape == (1, CLASSES, *SMALL)
    assert torch.equal(there.field, back.inverse_field)
    assert torch.equal(there.seg_moving, back.seg_fixed)
    places = [tuple(table.shape[1:]) for table in model.groups()["pos"]]
    assert places == [(64, 2, 3, 2), (32, 4, 6, 4), (16, 8, 12, 8)]
    odd = texture((15, 21, 10), seed=3, dtype=torch.float32)
    assert model.of_pair(odd, odd).field.shape == (1, 3, 15, 21, 10)


def test_segmentation_does_not_teach_the_last_estimator_of_half_the_grid_either() -> None:
    model, loss = pyramid(finest_level=2), settings_of("pgcnet", "half_grid").loss
    view = PairView(model, batch_of((small_subject(0), small_subject(1, known=False))), CLASSES)
    for term in joint_terms(loss):
        levels = [_reached(term.fn(view).mean(), estimator) for estimator in model.estimators]
        assert levels == [True, True, term.name not in ("classification", "overlap")], term.name


def test_both_directions_may_count() -> None:
    model = pyramid()
    settings = settings_of("pgcnet", "bidirectional").loss
    one, other = small_subject(0), small_subject(1, known=False)
    there, back = (PairView(model, batch_of(pair), CLASSES) for pair in ((one, other), (other, one)))
    for name in ("similarity", "smoothness"):
        both = getattr(there, name)(settings)
        each = [getattr(view, name)(settings_of("pgcnet").loss) for view in (there, back)]
        assert torch.allclose(both, (each[0] + each[1]) / 2)


def test_manual_labels_may_stand_for_predictions_in_the_joint_loss() -> None:
    model, loss = pyramid(), settings_of("pgcnet", "joint_manual").loss
    one, other = small_subject(0), small_subject(1)
    view = PairView(model, batch_of((one, dataclasses.replace(other, label=None))), CLASSES)
    assert one.label is not None
    truth = one_hot(one.label.long(), CLASSES)
    expected = soft_dice(view.probabilities[1], warp(truth, view.field), loss.dice)
    assert torch.allclose(view.agreement(loss), expected)
    whole = PairView(model, batch_of((one, other)), CLASSES)
    assert other.label is not None
    expected = soft_dice(one_hot(other.label.long(), CLASSES), warp(truth, whole.field), loss.dice)
    assert torch.allclose(whole.agreement(loss), expected)


def test_supervision_is_of_the_labelled_sides() -> None:
    model, loss = pyramid(), settings_of("pgcnet").loss
    views = {}
    for known in ("10", "01", "11"):
        pair = tuple(small_subject(number, known[number] == "1") for number in (0, 1))
        views[known] = PairView(model, batch_of(pair), CLASSES)
    for value in (PairView.classification, lambda view: view.overlap(loss)):
        moving, fixed, both = (float(value(views[known]).detach()) for known in ("10", "01", "11"))
        assert both == pytest.approx((moving + fixed) / 2, rel=1e-5)
        assert moving != pytest.approx(fixed, rel=1e-3)


def test_classes_weigh_alike() -> None:
    """P / P_n as weights make the cross entropy the mean over classes of their mean log-losses (Eq. 3)."""
    view = PairView(pyramid(), batch_of((small_subject(0), small_subject(1, known=False))), CLASSES)
    label = small_subject(0).label
    assert label is not None
    logs = view.logits[0].log_softmax(1)
    means = [-logs[0, k][label[0, 0] == k].mean() for k in range(CLASSES)]
    assert torch.allclose(view.classification(), torch.stack(means).mean())


def test_labelled_scans_move_onto_unlabelled_ones() -> None:
    assert len(AtlasPairs([f"a{i}" for i in range(5)], [f"u{i}" for i in range(255)], 0)) == 1275
    dataset = small_dataset(2, 6)
    _, strategy = made("pgcnet", settings_of("pgcnet"), dataset)
    pairs = set(strategy.phase(0).sampler.items)
    assert pairs == {(a, u) for a in dataset.labelled for u in dataset.unlabelled}
    everyone = small_dataset(3)
    _, strategy = made("pgcnet", settings_of("pgcnet"), everyone)
    assert set(strategy.phase(0).sampler.items) == set(permutations(everyone.labelled, 2))


@pytest.mark.parametrize(("preset", "joins"), [("preset", True), ("joint", False), ("mono", False)])
def test_the_joint_loss_begins_with_the_second_stage(preset: str, joins: bool) -> None:
    dataset = small_dataset()
    _, strategy = made("pgcnet", settings_of("pgcnet", preset), dataset)
    first, second = strategy.phases()
    assert (first.steps, second.steps) == (5_000, 80_000)
    assert (first.until, second.until) == (pytest.approx(0.1), 1.0)
    assert first.name == second.name
    batch = batch_of((small_subject(0), small_subject(1, known=False)))
    assert "joint" not in first.step(batch).parts
    assert ("joint" in second.step(batch).parts) is joins
