"""Index to LPS in every axis order, with SimpleITK as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from JointRegSegLib.volumes import Grid, LabelMap, Volume, canonical, reorient, to_sitk
from Testing.engine.orientations import ORIENTATIONS, all_orientations
from Testing.engine.volume_cases import GRID, labels, scan


@pytest.mark.parametrize("grid", [GRID, Grid((4, 5, 6), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0))], ids=["oblique", "straight"])
def test_every_orientation_keeps_every_voxel_where_simpleitk_says(grid: Grid) -> None:
    volume = scan(grid)
    places = dict(_points(volume))
    seen = set()
    for turned in all_orientations(volume):
        image = to_sitk(turned.array, turned.grid)
        seen.add((turned.grid.size, tuple(np.round(turned.grid.direction, 6))))
        indices = [(0, 0, 0), (turned.grid.size[0] - 1, 0, 1), tuple(n - 1 for n in turned.grid.size)]
        for index in indices:
            point = image.TransformIndexToPhysicalPoint(index)
            assert turned.grid.to_lps(index) == pytest.approx(point, abs=1e-9)
            assert turned.grid.to_index(point) == pytest.approx(index, abs=1e-9)
            assert places[image.GetPixel(*index)] == pytest.approx(point, abs=1e-9)
        assert all(places[value] == pytest.approx(point, abs=1e-9) for value, point in _points(turned))
    assert len(seen) == 48


def test_fractional_indices_agree_with_simpleitk() -> None:
    image = GRID.empty_image()
    for index in np.random.default_rng(0).uniform(-5, 12, (20, 3)):
        point = image.TransformContinuousIndexToPhysicalPoint(index.tolist())
        assert GRID.to_lps(index) == pytest.approx(point, abs=1e-9)
        assert GRID.to_index(point) == pytest.approx(index, abs=1e-9)


def test_canonical_agrees_with_simpleitk_from_every_orientation() -> None:
    volume = scan()
    expected = sitk.DICOMOrient(to_sitk(volume.array, volume.grid), "LPS")
    for turned in all_orientations(volume):
        found = canonical(turned)
        assert found.grid.same_as(Grid.of(expected), 1e-9)
        assert np.array_equal(found.array, sitk.GetArrayViewFromImage(expected))


def test_canonical_is_a_view_and_keeps_the_table() -> None:
    label_map = labels()
    turned = reorient(label_map, (2, 0, 1), (True, False, True))
    assert isinstance(turned, LabelMap)
    assert turned.table is label_map.table
    assert np.shares_memory(canonical(turned).array, label_map.array)


def test_the_48_orientations_are_all_different() -> None:
    assert len(set(ORIENTATIONS)) == 48


def test_an_array_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        Volume(np.zeros((7, 6, 5), np.float32), GRID)


def _points(volume: Volume) -> list[tuple[float, np.ndarray]]:
    indices = np.stack(np.meshgrid(*map(np.arange, volume.array.shape), indexing="ij"), -1)[..., ::-1]
    points = volume.grid.to_lps(indices).reshape(-1, 3)
    return list(zip(volume.array.ravel().tolist(), points, strict=True))
