"""A small data set of moved boxes that any method can learn a little of in seconds, and models trained on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from JointRegSegLib import methods
from JointRegSegLib.job import Device
from JointRegSegLib.study.train import Trained, Training, train
from JointRegSegLib.volumes import Grid, Label, LabelMap, LabelTable, write_label_map
from Testing.engine.tensor_cases import texture
from Testing.engine.volume_cases import save

SIZE = (20, 24, 22)
GRID = Grid(SIZE, (1.5, 1.5, 1.5), (4.0, -7.0, 11.0))
TABLE = LabelTable([Label(2, "left box", (255, 0, 0)), Label(5, "right box", (0, 255, 0))])


def write_boxes(folder: Path, subjects: int = 6, grid: Grid = GRID) -> Path:
    """Scans `00_mr` and on with their label maps and a label table: a body with two bright boxes, elsewhere in each."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    for number in range(subjects):
        away = [(np.arange(n) - (n - 1) / 2) / (0.42 * n) for n in grid.shape]
        body = sum(part**2 for part in np.meshgrid(*away, indexing="ij")) < 1
        image = 0.05 * texture(grid.shape, seed=number)[0, 0].numpy() + 0.3 * body
        labels = np.zeros(grid.shape, np.uint16)
        for value, left in ((2, 5), (5, 11)):
            k, j, i = np.array([7, 7, left]) + random.integers(-1, 2, 3)
            labels[k : k + 7, j : j + 8, i : i + 5] = value
        image[labels == 2] += 0.3
        image[labels == 5] += 0.6
        image = gaussian_filter(image, 0.5)
        save(folder / f"{number:02d}_mr.nii.gz", (1000 * image).astype(np.float32), grid)
        write_label_map(folder / f"{number:02d}_labels.nii.gz", LabelMap(labels, grid, TABLE))
    (folder / "table.txt").write_text(
        "".join(f"{v},{label.name},{','.join(map(str, label.color))}\n" for v, label in TABLE.items())
    )
    return folder


def short_preset(folder: Path, method: str, seg_steps: int = 2, more: str = "") -> Path:
    """A preset of a few steps upon the method's own, with more lines at its end."""
    steps = {
        "bijros": "encoder_steps = 1\nturns = 1",
        "deepatlas": f"reg_steps = 2\nseg_steps = {seg_steps}\njoint_steps = 21",
        "jrss": "reg_steps = 2\nseg_steps = 2\nrounds = 1\nturns = 1\nreg_units = 1\nunit = 1",
        "mmln": "steps = [1, 1, 2]\nfrozen_steps = 1",
        "pgcnet": "first_steps = 1\njoint_steps = 1",
        "synthmorph": "steps = 2",
    }[method]
    path = folder / f"{method}.toml"
    path.write_text(
        f'base = "{methods.presets(method)["preset"]}"\n[strategy]\n{steps}\n[trainer]\nvalidate_every = 0\n{more}'
    )
    return path


def trained_on_boxes(
    folder: Path, method: str = "deepatlas", seg_steps: int = 2, more: str = "", labelled: int = 2
) -> Trained:
    """A model of a few steps on the boxes in `folder / "data"`."""
    torch.set_num_threads(1)
    data = write_boxes(folder / "data")
    asked = Training(
        method,
        data,
        folder / "model",
        labelled=labelled,
        preset=str(short_preset(folder, method, seg_steps, more)),
        device=Device.CPU,
        table=data / "table.txt",
        licence="free",
    )
    return train(asked, lambda event: None, lambda: False)
