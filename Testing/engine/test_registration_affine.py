"""The affine: what it must survive, what it is told to start from, and what a rigid stage leaves alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from JointRegSegLib.registration import Scan, Start, align, as_placed
from JointRegSegLib.registration.affine import AffineProblem, Stage
from JointRegSegLib.registration.search import coarse_spacing
from JointRegSegLib.registration.starts import all_starts, centred
from Testing.engine.registration_cases import (
    REAL_FILES,
    body_points,
    mean_distance,
    moved,
    phantom,
    phantom_affine,
    phantom_scans,
    real_scans,
    shift,
    through,
    turn,
)

PAIRS = {"phantom": phantom_scans} | ({"real": real_scans} if REAL_FILES else {})
MOTIONS = {
    "40 mm": lambda centre: shift((23.0, -23.0, 23.5)),
    "60 degrees about x": lambda centre: turn((1, 0, 0), 60, centre),
    "-60 degrees about y": lambda centre: turn((0, 1, 0), -60, centre),
    "60 degrees about z": lambda centre: turn((0, 0, 1), 60, centre),
    "60 degrees about a skew axis and 40 mm": lambda centre: shift((0, 40.0, 0)) @ turn((2, -1, 1.4), 60, centre),
}


@pytest.fixture(scope="module", params=list(PAIRS))
def scans(request: pytest.FixtureRequest) -> tuple[Scan, Scan]:
    return PAIRS[request.param]()


@pytest.fixture(scope="module")
def plain(scans: tuple[Scan, Scan]) -> np.ndarray:
    return (phantom_affine() if scans is phantom_scans() else align(*scans)).matrix


def test_the_affine_of_the_phantom_is_nearly_the_best_there_is() -> None:
    """The individuals differ by more than an affine: 3 mm remain at best, and they lie 18 mm apart to begin with."""
    target, atlas = phantom_scans()
    points = body_points(target)
    truth = phantom().truth(points)
    design = np.concatenate([points, np.ones((len(points), 1))], 1)
    best = mean_distance(design @ np.linalg.lstsq(design, truth, rcond=None)[0], truth)
    found = phantom_affine()
    assert mean_distance(points, truth) > 15.0
    assert mean_distance(through(found.matrix, points), truth) < best + 1.5
    assert 0.0 < found.score <= 1.0
    assert found.start in {start.name for start in all_starts(target, atlas)[0]}


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_misplaced_header_is_undone(scans: tuple[Scan, Scan], plain: np.ndarray, motion: str) -> None:
    """Wherever the target's header puts it, the same anatomy is found: within 1.5 mm on average."""
    target, atlas = scans
    movement = MOTIONS[motion](target.centre_and_spread()[0])
    found = align(moved(target, movement), atlas)
    points = body_points(target)
    assert mean_distance(through(movement, points), points) > 20.0
    assert mean_distance(through(found.matrix @ movement, points), through(plain, points)) < 1.5


def test_a_misplaced_atlas_is_found_as_well() -> None:
    target, atlas = phantom_scans()
    movement = shift((30.0, 0, -30.0)) @ turn((1, 1, 0), 60, atlas.centre_and_spread()[0])
    points = body_points(target)
    found = through(np.linalg.inv(movement) @ align(target, moved(atlas, movement)).matrix, points)
    assert mean_distance(found, phantom().truth(points)) < 5.0


def test_a_scan_and_itself_stay_where_they_are() -> None:
    target, _ = phantom_scans()
    found = align(target, target)
    points = body_points(target)
    assert mean_distance(through(found.matrix, points), points) < 0.3
    assert found.score > 0.95


def test_a_given_start_is_the_only_one() -> None:
    target, atlas = phantom_scans()
    assert align(target, atlas, given=as_placed()).start == "as placed"
    points = body_points(target)
    good = centred(target, atlas)
    far = Start("far away", shift((0, 0, 150.0)) @ good.matrix)
    found = align(target, atlas, given=far)
    assert found.start == "far away"
    assert mean_distance(through(found.matrix, points), through(good.matrix, points)) > 60.0
    near = align(target, atlas, given=Start("near", good.matrix))
    assert mean_distance(through(near.matrix, points), phantom().truth(points)) < 5.0
    assert near.score > found.score


def test_starts_have_names_and_the_placing_of_the_headers_is_among_them() -> None:
    target, atlas = phantom_scans()
    starts, _ = all_starts(target, atlas)
    assert all(start.name for start in starts)
    assert any(np.array_equal(start.matrix, np.eye(4)) for start in starts)
    centre, there = target.centre_and_spread()[0], atlas.centre_and_spread()[0]
    for start in starts[1:]:
        assert start.matrix.shape == (4, 4)
        assert np.linalg.det(start.matrix[:3, :3]) > 0.1
        assert np.allclose(start.matrix @ np.append(centre, 1), np.append(there, 1), atol=1e-6)


def test_a_rigid_stage_stays_rigid_and_an_affine_one_does_not() -> None:
    target, atlas = phantom_scans()
    problem = AffineProblem(target, atlas, coarse_spacing(target))
    start = centred(target, atlas).matrix
    rigid = problem.ascend(start, Stage(15, 6.0, 1.0, rigid=True))
    assert np.allclose(np.linalg.svd(rigid[:3, :3], compute_uv=False), 1.0, atol=1e-9)
    assert np.linalg.det(rigid[:3, :3]) > 0
    assert not np.allclose(rigid[:3, :3], np.eye(3), atol=1e-2)
    assert problem.score(rigid) > problem.score(start)
    stretched = start @ np.diag([1.1, 0.9, 1.0, 1.0])
    kept = problem.ascend(stretched, Stage(10, 6.0, 1.0, rigid=True))
    assert np.allclose(np.linalg.svd(kept[:3, :3], compute_uv=False), [1.1, 1.0, 0.9], atol=1e-9)
    free = problem.ascend(rigid, Stage(15, 3.0, 0.5, rigid=False))
    assert np.abs(np.linalg.svd(free[:3, :3], compute_uv=False) - 1.0).max() > 0.01
    assert problem.score(free) > problem.score(rigid)


def test_scans_that_do_not_meet_score_nothing() -> None:
    target, atlas = phantom_scans()
    problem = AffineProblem(target, atlas, 8.0)
    assert problem.score(shift((0, 0, 900.0))) == 0.0
    assert problem.score(centred(target, atlas).matrix) > 0.1


def test_half_a_field_of_view_is_aligned_too() -> None:
    """The target shows the upper half of the head alone."""
    target, atlas = phantom_scans()
    k = target.grid.size[2] // 2 - 4
    part = target.grid.box((0, 0, k), (*target.grid.size[:2], target.grid.size[2] - k))
    upper = Scan(target.image[:, :, k:], target.foreground[:, :, k:], None, part, True)
    points = body_points(upper)
    assert mean_distance(through(align(upper, atlas).matrix, points), phantom().truth(points)) < 6.0


def test_masked_voxels_do_not_count() -> None:
    """A bright block inside the head changes hardly anything where the mask forbids to look at it."""
    target, atlas = phantom_scans()
    weight, drawn = target.image * 0 + 1, target.image.clone()
    weight[..., 30:55, 30:60, 30:50] = 0.0
    drawn[..., 34:51, 34:56, 34:46] = 1.2
    plain = Scan(target.image, target.foreground, weight, target.grid, target.cut)
    lesion = Scan(drawn, target.foreground, weight, target.grid, target.cut)
    points = body_points(target)
    found = [through(align(scan, atlas, given=centred(target, atlas)).matrix, points) for scan in (plain, lesion)]
    assert mean_distance(*found) < 0.2


def _record(into: list[float], stop_at: float = 2.0) -> Callable[[float], None]:
    def on_step(done: float) -> None:
        into.append(done)
        if done >= stop_at:
            raise InterruptedError

    return on_step


def test_progress_rises_and_raising_stops() -> None:
    target, atlas = phantom_scans()
    told: list[float] = []
    align(target, atlas, _record(told))
    assert told == sorted(told)
    assert told[0] >= 0.0
    assert 0.5 < told[-1] <= 1.0
    told = []
    with pytest.raises(InterruptedError):
        align(target, atlas, _record(told, stop_at=0.3))
    assert len([done for done in told if done >= 0.3]) == 1


def test_the_same_scans_give_the_same_bits() -> None:
    target, atlas = phantom_scans()
    assert np.array_equal(align(target, atlas).matrix, phantom_affine().matrix)
