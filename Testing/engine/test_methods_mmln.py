"""MMLN: its published sizes, its levels and branches, what each term teaches, and a short run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from JointRegSegLib.fields import compose, exponential, jacobian_determinant, resize_field, warp
from JointRegSegLib.losses import diffusion, global_ncc
from JointRegSegLib.methods.mmln.model import LEVELS, LaplacianPyramid, middle
from JointRegSegLib.methods.mmln.objectives import LevelView, level_terms
from JointRegSegLib.networks import InputSpec, placed
from JointRegSegLib.training.terms import weighted_sum
from Testing.engine.coupled_cases import SMALL, size, small_dataset, small_subject
from Testing.engine.method_cases import batch_of, check_reach, made, run, settings_of, weights
from Testing.engine.network_cases import check_groups
from Testing.engine.tensor_cases import generator, inner, largest, smooth_field, texture
from Testing.engine.training_cases import Scripted

COUPLINGS = ["input", "residual", "feature"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pyramid(displaced: bool = False, **choices: Any) -> LaplacianPyramid:
    """A model; its fields are of half a voxel or so where `displaced`."""
    torch.manual_seed(0)
    model = placed(LaplacianPyramid(**choices), "cpu")
    if displaced:
        with torch.no_grad():
            for name, p in model.named_parameters():
                if name.endswith("head.weight"):
                    p.normal_(0.0, 1.0, generator=generator(4))
    return model


def images() -> tuple[Tensor, Tensor]:
    return small_subject(0).image, small_subject(1).image


def view_of(model: LaplacianPyramid, number: int) -> LevelView:
    return LevelView(model, batch_of((small_subject(0, known=False), small_subject(1, known=False))), number)


def test_sizes_of_the_networks() -> None:
    model = LaplacianPyramid()
    assert [size(net) for net in model.levels] == [306_404, 308_672, 308_672]
    assert size(model.levels) == 923_748
    assert [size(net) for net in model.slice_nets] == [102_928, 103_684]
    assert size(model) == 923_748 + 102_928 + 103_684
    assert not any("bias" in name for name, _ in LaplacianPyramid(core_weights="own").named_parameters())
    assert [net.first[0].in_channels for net in model.levels] == [2, 5, 5]


@pytest.mark.parametrize(
    "choices", [{}, {"branches": ()}, {"branches": ("core",), "core_weights": "own"}, {"subnet": "vxm"}]
)
def test_every_parameter_has_its_group(choices: dict[str, Any]) -> None:
    model = pyramid(**choices)
    check_groups(model)
    assert ("aux" in model.groups()) is (choices != {"branches": ()})


def test_levels_are_of_a_quarter_a_half_and_the_whole_of_the_grid() -> None:
    model = LaplacianPyramid().to("meta")
    scan = torch.empty(1, 1, 160, 192, 224, device="meta")
    assert middle(scan).shape[2:] == (80, 96, 112)
    moving, fixed = images()
    found = pyramid()(moving, fixed)
    assert [tuple(level.field.shape[2:]) for level in found.pyramid] == [(4, 6, 4), (8, 12, 8), SMALL]
    assert [tuple(level.moving.shape[2:]) for level in found.pyramid] == [(4, 6, 4), (8, 12, 8), SMALL]
    assert found.field is found.pyramid[-1].field
    assert found.seg_moving is found.seg_fixed is found.inverse_field is None
    assert model.capabilities == {"field"}
    assert model.input_spec == InputSpec(8)


def test_the_core_is_the_middle_of_each_side() -> None:
    places = torch.arange(16.0).view(1, 1, 16, 1, 1) + torch.zeros(1, 1, 16, 24, 16)
    assert middle(places)[0, 0, :, 0, 0].tolist() == list(range(4, 12))
    assert middle(places.movedim(2, 3)).shape[2:] == (12, 8, 8)
    model = pyramid(displaced=True)
    level = model.climb(*images(), 3)[-1]
    moving, fixed, field = model.core(level)
    assert torch.equal(moving, level.moving[..., 4:12, 6:18, 4:12])
    assert torch.equal(fixed, level.fixed[..., 4:12, 6:18, 4:12])
    assert field.shape == (1, 3, 8, 12, 8)


class Constant(nn.Module):
    """A level's network that says the same everywhere."""

    def __init__(self, says: float) -> None:
        super().__init__()
        self.says = says

    def forward(self, x: Tensor, below: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.new_zeros(1, 28, *x.shape[2:])
        return x.new_full((1, 3, *x.shape[2:]), self.says), wide, wide


def test_velocities_are_in_voxels_of_their_level_and_add_up() -> None:
    """Up to 0.4 of half of each side at each level; the core speaks of sides of the whole."""
    model = pyramid()
    model.levels = nn.ModuleList(Constant(says) for says in (0.5, -0.25, 0.125))
    levels = model.climb(*images(), 3)
    expected = torch.zeros(3)
    for level, says in zip(levels, (0.5, -0.25, 0.125), strict=True):
        sides = torch.tensor(level.fixed.shape[2:]) - 1
        lower = torch.tensor([(n + 1) / 2 - 1 for n in sides.tolist()])
        expected = (expected * sides / lower if level is not levels[0] else expected) + says * 0.4 * sides / 2
        assert torch.allclose(level.velocity, expected.view(1, 3, 1, 1, 1), atol=1e-5)
        assert torch.allclose(level.field, level.velocity, atol=1e-5)  # of a constant velocity
    _, _, field = model.core(levels[-1])
    assert torch.allclose(field, expected.view(1, 3, 1, 1, 1), atol=1e-5)
    assert torch.allclose(levels[-1].inputs[:, 2:], torch.tensor(0.25 * 0.4).view(1, 1, 1, 1, 1), atol=1e-5)


def test_finer_levels_see_what_the_coarser_ones_did() -> None:
    model, (moving, fixed) = pyramid(displaced=True), images()
    coarse, level, _ = model.climb(moving, fixed, 3)
    assert torch.equal(level.inputs[:, :1], warp(level.moving, resize_field(coarse.field, (8, 12, 8))))
    assert torch.equal(level.inputs[:, 1:2], level.fixed)
    assert torch.equal(level.start, resize_field(coarse.velocity, (8, 12, 8)))
    assert level.below is coarse.embedding
    assert torch.equal(coarse.inputs, torch.cat([coarse.moving, coarse.fixed], 1))
    assert torch.equal(level.field, exponential(level.velocity))


def test_a_level_that_has_not_learnt_passes_on_the_velocity() -> None:
    model, (moving, fixed) = pyramid(), images()
    assert 0 < largest(model.register(moving, fixed).detach()) < 0.25
    with torch.no_grad():
        model.levels[0].head.weight.normal_(0.0, 1.0, generator=generator(4))
        coarse, _, fine = model.climb(moving, fixed, 3)
    carried = resize_field(resize_field(coarse.velocity, (8, 12, 8)), SMALL)
    assert largest(fine.velocity - carried) < 0.25 < 1.0 < largest(fine.velocity)


def test_velocities_are_integrated_by_scaling_and_squaring() -> None:
    velocity = smooth_field((24, 24, 24), 2.0)
    there, back = exponential(velocity), exponential(-velocity)
    assert largest(inner(compose(there, back), 4)) < 0.1 < largest(inner(compose(there, -there), 4))
    model = pyramid(displaced=True)
    with torch.no_grad():
        found = model(*images())
        assert torch.equal(found.field, exponential(found.velocity, 7))
        assert float(jacobian_determinant(found.field).min()) > 0


@pytest.mark.parametrize(("plane", "axis"), [("axial", 2), ("coronal", 3), ("sagittal", 4)])
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_slices_are_seen_one_by_one_and_stay_in_their_plane(coupling: str, plane: str, axis: int) -> None:
    """Another slice's images change nothing, and there is no displacement across the slices."""
    model = pyramid(displaced=True, planes=(plane,), coupling=coupling)
    level = model.climb(*images(), 1)[0]
    (field,) = model.slice_fields(0, level)
    assert largest(field.detach()) > 0.05
    changed = level.inputs.clone()
    changed.select(axis, 0).add_(1.0)
    (other,) = model.slice_fields(0, dataclasses.replace(level, inputs=changed))
    assert not torch.allclose(other.select(axis, 0), field.select(axis, 0), atol=1e-3)
    if coupling != "residual":  # there the pyramid's own velocity crosses slices
        assert not field[:, axis - 2].any()
        rest = (slice(None),) * axis + (slice(1, None),)
        assert torch.allclose(other[rest], field[rest], atol=1e-5)


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_what_the_slices_add_to(coupling: str) -> None:
    """Networks on slices that say nothing leave the velocity from below in their plane, or the level's own."""
    model = pyramid(displaced=True, coupling=coupling)
    for p in model.slice_nets.parameters():
        p.data.zero_()
    level = model.climb(*images(), 2)[1]
    (field,) = model.slice_fields(1, level)
    start = level.start.clone()
    start[:, 0] = 0
    assert torch.allclose(field, level.field if coupling == "residual" else exponential(start), atol=1e-6)


@pytest.mark.parametrize("choices", [{}, {"coupling": "feature"}, {"core_weights": "own"}])
def test_branches_are_left_out_of_what_is_used(choices: dict[str, Any]) -> None:
    model, (moving, fixed) = pyramid(displaced=True, **choices), images()
    before, kept = model.register(moving, fixed), weights(model)
    model.strip_training_branches()
    assert torch.equal(model.register(moving, fixed), before)
    assert size(model) == 923_748
    assert set(model.state_dict()) == {name for name in kept if name.startswith("levels.")}
    stripped = pyramid(**choices)
    stripped.strip_training_branches()
    stripped.load_state_dict(model.state_dict())
    assert torch.equal(stripped.register(moving, fixed), before)
    assert set(stripped.groups()) == set(LEVELS)


def test_scans_of_any_size_are_taken() -> None:
    scan = texture((13, 17, 22), seed=3, dtype=torch.float32)
    assert pyramid().register(scan, scan).shape == (1, 3, 13, 17, 22)


def test_similarity_is_the_correlation_of_the_whole_images() -> None:
    moving, _ = images()
    view = view_of(pyramid(), 2)
    level = view.level
    assert torch.allclose(view.similarity(), 1 - global_ncc(level.fixed, warp(level.moving, level.field)))
    assert float(1 - global_ncc(moving, 0.3 * moving + 5.0)) == pytest.approx(0.0, abs=1e-4)


def test_weights_of_the_objectives() -> None:
    """Smoothness by k/4, k/2 and k; slices by 0.25 and 0.5; the core by 0.25."""
    loss, model = settings_of("mmln", loss={"smoothness": 8.0}).loss, pyramid(displaced=True)
    found = [{term.name: term.weight for term in level_terms(loss, model, number)} for number in range(3)]
    assert found == [
        {"similarity": 1.0, "smoothness": 2.0, "slices": 0.25},
        {"similarity": 1.0, "smoothness": 4.0, "slices": 0.5},
        {"similarity": 1.0, "smoothness": 8.0, "core": 0.25},
    ]
    view = view_of(model, 0)
    expected = view.similarity() + 2.0 * diffusion(view.level.velocity) + 0.25 * view.slices()
    assert torch.allclose(weighted_sum(level_terms(loss, model, 0), view, 0).total, expected.mean())
    alone = [[term.name for term in level_terms(loss, pyramid(branches=()), number)] for number in range(3)]
    assert alone == [["similarity", "smoothness"]] * 3


ONE, TWO, ALL = {"level1"}, {"level1", "level2"}, {"level1", "level2", "level3"}


@pytest.mark.parametrize(
    ("choices", "slices", "core"),
    [
        ({}, ({"aux"}, {"aux", "level1"}), ALL),
        ({"core_weights": "own"}, ({"aux"}, {"aux", "level1"}), {"aux", *TWO}),
        ({"coupling": "residual"}, ({"aux", *ONE}, {"aux", *TWO}), ALL),
        ({"coupling": "feature"}, ({"aux", *ONE}, {"aux", *TWO}), ALL),
    ],
)
def test_what_each_term_reaches(choices: dict[str, Any], slices: tuple[set[str], set[str]], core: set[str]) -> None:
    """With separate networks the slices of the coarsest level cannot teach what is kept; another coupling lets them."""
    model, loss = pyramid(displaced=True, **choices), settings_of("mmln").loss
    for number, reached in enumerate((ONE, TWO, ALL)):
        expected = {"similarity": reached, "smoothness": reached}
        expected |= {"core": core} if number == 2 else {"slices": slices[number]}
        check_reach(level_terms(loss, model, number), view_of(model, number), model, expected)


@pytest.mark.parametrize("coupling", COUPLINGS)
def test_levels_may_be_unets_which_hand_on_their_velocity_alone(coupling: str) -> None:
    """A change of the coarsest level reaches the finest; slices stay apart; every term teaches as with LapIRN's."""
    model, (moving, fixed) = pyramid(displaced=True, subnet="vxm", coupling=coupling), images()
    levels = model.climb(moving, fixed, 3)
    assert [level.embedding for level in levels] == [None] * 3
    assert [tuple(level.features.shape[1:]) for level in levels] == [(28, 4, 6, 4), (28, 8, 12, 8), (28, *SMALL)]
    assert largest(levels[-1].velocity.detach()) > 0.05
    changed = levels[0].inputs.clone()
    changed[:, :, 0] += 1.0
    (field,) = model.slice_fields(0, levels[0])
    (other,) = model.slice_fields(0, dataclasses.replace(levels[0], inputs=changed))
    if coupling != "residual":  # there the pyramid's own velocity crosses slices
        assert torch.allclose(other[:, :, 1:], field[:, :, 1:], atol=1e-5)
    loss = settings_of("mmln", "vxm").loss
    own = {"aux"} if coupling == "input" else {"aux", *ONE}
    check_reach(
        level_terms(loss, model, 0),
        view_of(model, 0),
        model,
        {"similarity": ONE, "smoothness": ONE, "slices": own},
    )
    check_reach(
        level_terms(loss, model, 2), view_of(model, 2), model, dict.fromkeys(("similarity", "smoothness", "core"), ALL)
    )


def test_a_unet_begins_close_to_the_identity_and_takes_any_size() -> None:
    scan, other = (texture((13, 17, 22), seed=seed, dtype=torch.float32) for seed in (3, 4))
    field = pyramid(subnet="vxm").register(scan, other)
    assert field.shape == (1, 3, 13, 17, 22)
    assert 0 < largest(field.detach()) < 0.05


def test_planes_count_alike() -> None:
    planes = ["axial", "coronal", "sagittal"]
    model = pyramid(displaced=True, planes=planes)
    together = view_of(model, 1).slices()
    each = []
    for plane in planes:
        model.planes = (plane,)
        each.append(view_of(model, 1).slices())
    assert torch.allclose(together, torch.stack(each).mean(0))
    assert len({float(value.detach()) for value in each}) == 3


@pytest.mark.parametrize("labelled", [0, 1, 3])
def test_every_scan_moves_onto_every_other_and_labels_are_not_looked_at(labelled: int) -> None:
    dataset = small_dataset(labelled)
    _, strategy = made("mmln", settings_of("mmln"), dataset)
    scans = {*dataset.labelled, *dataset.unlabelled}
    assert all(set(phase.sampler.items) == set(permutations(scans, 2)) for phase in strategy.phases())


def test_stages() -> None:
    """Levels one after another; for 2,000 steps those below are frozen."""
    _, strategy = made("mmln", settings_of("mmln"), small_dataset())
    phases = [(phase.name, phase.steps, set(phase.groups)) for phase in strategy.phases()]
    assert phases == [
        ("level 1", 30_000, {"level1", "aux"}),
        ("level 2", 2_000, {"level2", "aux"}),
        ("level 2", 28_000, {"level1", "level2", "aux"}),
        ("level 3", 2_000, {"level3", "aux"}),
        ("level 3", 58_000, {"level1", "level2", "level3", "aux"}),
    ]
    assert [phase.until for phase in strategy.phases()] == pytest.approx([0.1, 0.3, 0.3, 1.0, 1.0])
    _, plain = made("mmln", settings_of("mmln", "mono"), small_dataset())
    assert not any("aux" in phase.groups for phase in plain.phases())


def test_levels_below_are_frozen_to_the_bit_and_then_learn(tmp_path: Path) -> None:
    dataset = small_dataset()
    settings = settings_of("mmln", strategy={"steps": (1, 3, 3), "frozen_steps": 2})
    model, strategy = made("mmln", settings, dataset)
    learning = [{"0"}, {"1"}, {"0", "1"}, {"2"}, {"0", "1", "2"}]
    for number, phase in enumerate(strategy.phases()):
        before = weights(model.levels)
        run(Scripted(phase), model, dataset, tmp_path / str(number))
        after = model.levels.state_dict()
        moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
        assert moved == learning[number], phase.name
