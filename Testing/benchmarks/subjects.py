"""Where the scans of a data folder lie and which of their labels count."""

from __future__ import annotations

import csv
from pathlib import Path

_IMAGES = {"oasis": "t1", "abdomen_ct": "ct", "hippocampus": "mr", "lpba40": "t1"}


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
    """The values that a data set's labels.csv marks as scored; None (all) where it has no such file."""
    return list(named(data, dataset).values()) if (data / dataset / "labels.csv").is_file() else None


def named(data: Path, dataset: str) -> dict[str, int]:
    """Name -> value of the labels that a data set's labels.csv marks as scored."""
    with (data / dataset / "labels.csv").open(newline="", encoding="utf-8") as stream:
        return {line["name"]: int(line["value"]) for line in csv.DictReader(stream) if line["scored"] == "1"}
