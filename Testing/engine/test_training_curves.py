"""The curve file: whole lines only, cut where a run goes on, drawn as it was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from JointRegSegLib.job import JobError
from JointRegSegLib.training.curves import CurveFile, draw, read_curves, series_of, write_tensorboard
from Testing.rig.need import need

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three steps and a validation."""
    file = CurveFile(tmp_path / "curves.jsonl")
    for step, phase in ((1, "reg"), (2, "seg"), (3, "reg")):
        file.add({"step": step, "phase": phase, "total": 1.0 / step, "parts": {"sim": 0.1 * step}, "lr": 0.01})
    file.add({"step": 3, "validation": {"registration": 0.8}})
    return tmp_path / "curves.jsonl"


def test_curves_are_named_by_phase_and_term(path: Path) -> None:
    assert series_of(path) == {
        "reg/sim": ([1, 3], pytest.approx([0.1, 0.3])),
        "seg/sim": ([2], pytest.approx([0.2])),
        "validation/registration": ([3], [0.8]),
    }


def test_a_file_is_cut_after_a_step(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"step": 4, "phase": "re')
    whole = list(read_curves(path))
    assert len(whole) == 4
    CurveFile(path).cut(2)
    assert list(read_curves(path)) == whole[:2]
    CurveFile(path).add(whole[2])
    assert list(read_curves(path)) == whole[:3]


def test_there_are_no_curves_without_a_file(tmp_path: Path) -> None:
    assert series_of(tmp_path / "curves.jsonl") == {}


def test_the_picture_is_drawn(path: Path) -> None:
    need("matplotlib", "matplotlib")
    from matplotlib.image import imread

    draw(path, path.with_suffix(".png"))
    pixels = imread(path.with_suffix(".png"))
    assert pixels.shape[:2] == (960, 960)
    assert len({tuple(pixel) for row in pixels[::4, ::4, :3].tolist() for pixel in row}) > 3


def test_a_missing_library_is_named(path: Path) -> None:
    script = (
        "import sys\n"
        "for name in ('matplotlib', 'tensorboard'): sys.modules[name] = None\n"
        "from pathlib import Path\n"
        "from JointRegSegLib.job import JobError\n"
        "from JointRegSegLib.training.curves import draw, write_tensorboard\n"
        f"path = Path({str(path)!r})\n"
        "for show in (draw, write_tensorboard):\n"
        "    try: show(path, path.parent / 'x')\n"
        "    except JobError as problem: print(problem.code.value, problem)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == [
        "extra-missing The picture needs matplotlib, which is not installed. "
        "Install the extra report: pip install 'jointregseg[report]'",
        "extra-missing The log for TensorBoard needs tensorboard, which is not installed. "
        "Install the extra train: pip install 'jointregseg[train]'",
    ], run.stderr


def test_tensorboard_gets_every_value(path: Path) -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(JobError, match="tensorboard"):
            write_tensorboard(path, path.parent / "logs")
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_tensorboard(path, path.parent / "logs")
    events = EventAccumulator(str(path.parent / "logs")).Reload()
    assert [event.step for event in events.Scalars("reg/sim")] == [1, 3]
