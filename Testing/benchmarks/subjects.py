"""Where the scans of a data folder lie and which of their labels count."""

from __future__ import annotations

import csv
from pathlib import Path

import tomllib

from .provenance import ROOT

_IMAGES = {"oasis": "t1", "abdomen_ct": "ct", "hippocampus": "mr", "lpba40": "t1"}
_PRESETS = {"lpba40": ROOT / "JointRegSegLib" / "methods" / "jrss" / "lpba40.toml"}
"""Presets that name all structures of a data set which the images show: LPBA40's lack cerebellum and brain stem."""


def image(data: Path, dataset: str, subject: str) -> Path:
    """The scan of a subject."""
    return data / dataset / f"{subject}_{_IMAGES[dataset]}.nii.gz"


def labels(data: Path, dataset: str, subject: str) -> Path:
    """The label map of a subject."""
    return data / dataset / f"{subject}_labels.nii.gz"


def labelled(data: Path, dataset: str) -> list[str]:
    """The subjects of a data set that have labels, by id."""
    end = labels(data, dataset, "").name
    return sorted(file.name.removesuffix(end) for file in (data / dataset).glob(f"*{end}"))


def of_image(file: Path, dataset: str) -> str:
    """The subject of a scan, whose name may lack its ending."""
    return file.name.split(".")[0].removesuffix(f"_{_IMAGES[dataset]}")


def scored(data: Path, dataset: str) -> list[int] | None:
    """The values that a data set's labels.csv marks as scored, or those of its preset; None (all) where it has none."""
    if (data / dataset / "labels.csv").is_file():
        return list(named(data, dataset).values())
    return sorted(value for values in merged(dataset).values() for value in values) or None


def merged(dataset: str) -> dict[str, list[int]]:
    """Name -> values of a data set's merged structures, as its preset has them; empty where it has no preset."""
    if dataset not in _PRESETS:
        return {}
    found: dict[str, list[int]] = tomllib.loads(_PRESETS[dataset].read_text(encoding="utf-8"))["data"]["structures"]
    return found


def named(data: Path, dataset: str) -> dict[str, int]:
    """Name -> value of the labels that a data set's labels.csv marks as scored."""
    with (data / dataset / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return {line["name"]: int(line["value"]) for line in csv.DictReader(stream) if line["scored"] == "1"}
