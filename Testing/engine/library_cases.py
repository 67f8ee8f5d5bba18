"""Small labelled scans on disk, and libraries of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from JointRegSegLib.library.create import Plan, create
from JointRegSegLib.library.manifest import Library, read_library
from JointRegSegLib.volumes import Grid, LabelMap, LabelTable, write_label_map, write_volume

GRID = Grid((9, 8, 7), (1.0, 1.5, 2.0), (3.0, -4.0, 5.0))
TABLE = "value,name\n1,cortex\n2,caudate nucleus\n"


def write_scans(folder: Path, number: int = 3) -> Path:
    """Scans `s0`, `s1`, ... with labels 1 and 2; returns the folder."""
    folder.mkdir(parents=True)
    for index in range(number):
        random = np.random.default_rng(index)
        write_volume(folder / f"s{index}.nii.gz", random.integers(0, 900, GRID.shape).astype(np.int16), GRID)
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:3, 2:5, 2:6], labels[4:6, 2:5, 2:6] = 1, 2
        write_label_map(folder / f"s{index}_labels.nii.gz", LabelMap(labels, GRID, LabelTable()))
    return folder


def write_table(folder: Path, text: str = TABLE) -> Path:
    """A label table in the folder."""
    path = folder / "names.csv"
    path.write_text(text, encoding="utf-8")
    return path


def a_library(folder: Path, number: int = 3) -> Library:
    """A library of small scans at `folder / "library"`."""
    scans = write_scans(folder / "scans", number)
    create(Plan(scans, folder / "library", table=write_table(folder), licence="CC0\nmore words"))
    return read_library(folder / "library")
