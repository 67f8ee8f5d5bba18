"""Pairs of abdomens: which there are, and how convexAdam is called and its field read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from Testing.benchmarks import peer_run, peers, runner
from Testing.benchmarks.parts import GREEDY_AFFINE, PARTS, Row
from Testing.benchmarks.processes import Used

ROWS = PARTS["abdomen-pairs"].rows


def test_every_subject_is_a_target_once_and_the_three_pairs_are_among_them() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS) == 24
    pairs = [{(row.atlas, row.target) for row in ROWS if row.method == method} for method in ("normal", "convexadam")]
    assert pairs[0] == pairs[1]
    assert len(pairs[0]) == len({target for _, target in pairs[0]}) == len({atlas for atlas, _ in pairs[0]}) == 12
    assert {(row.atlas, row.target) for row in PARTS["abdomen"].rows} < pairs[0]
    assert all(atlas != target for atlas, target in pairs[0])


def test_rows_of_before_keep_their_keys() -> None:
    """What was measured stays valid: a key is of the settings, and theirs did not change."""
    keys = {row.name: row.key for row in PARTS["abdomen"].rows}
    assert keys["abdomen/abdomen_ct/00-01/normal"] == "4d78881badc7"


def test_convexadam_runs_in_the_peers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], dict[str, Any]]] = []

    def run_step(command: list[str], job: dict[str, Any], *rest: Any, **named: Any) -> tuple[dict[str, Any], Used]:
        asked.append((command, job))
        return {"dice": 0.5}, Used(1.0, 1.0, 1.0)

    monkeypatch.setattr(runner, "run_step", run_step)
    monkeypatch.setattr(peers, "build", lambda: Path("peers-python"))
    row = next(row for row in ROWS if row.method == "convexadam")
    line = runner.measure(row, tmp_path, runner.code_of(row))
    (command, job), (scoring, _) = asked
    assert command == ["peers-python", str(peers.SCRIPT)]
    assert job["commands"] == [GREEDY_AFFINE]
    assert job["voxel_mm"] == 2.0
    assert scoring == runner.module_command("score")
    assert line["code"].startswith("convexAdam ")
    assert ", picsl_greedy " in line["code"]


def test_versions_of_the_other_peers_are_theirs_alone() -> None:
    codes = {method: peers.version(Row("brain", "oasis", "1000", "1010", method)) for method in ("greedy-1", "syn")}
    assert codes == {"greedy-1": "picsl_greedy 1.4.0.3", "syn": "antspyx 0.6.3"}


def test_a_displacement_in_voxels_of_an_array_becomes_one_in_millimetres() -> None:
    """Labels that are warped by it lie where the voxels say: 1 slice, 2 rows and 3 columns on."""
    labels = np.zeros((7, 9, 11), np.uint8)
    labels[4, 5, 6] = 1
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing((1.0, 0.8, 2.5))
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.5).GetMatrix())
    field = peer_run.vectors_of(np.full((*labels.shape, 3), (1.0, 2.0, 3.0)), image)
    warped = sitk.Resample(image, image, sitk.DisplacementFieldTransform(field), sitk.sitkNearestNeighbor)
    assert np.argwhere(sitk.GetArrayFromImage(warped)).tolist() == [[3, 3, 3]]


def test_a_matrix_of_greedy_is_turned_from_ras_to_lps() -> None:
    ras = np.eye(4)
    ras[:3, 3] = 1.0, 2.0, 3.0
    assert peer_run.affine_of(ras).TransformPoint((10.0, 20.0, 30.0)) == (9.0, 18.0, 33.0)
