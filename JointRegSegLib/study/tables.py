"""The records of an evaluation as the tables that papers print: means and standard deviations over pairs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from ..extras import load_extra
from .evaluate import Arm, Record

CSV, MARKDOWN, PICTURE = "table.csv", "table.md", "dice.png"

TITLES = {
    Arm.OPTIMISATION: "optimisation alone",
    Arm.METHOD: "method alone",
    Arm.IMAGES: "method, refined by images",
    Arm.JOINT: "method, refined by images and segmentation",
}
SOURCES = ("registration", "segmentation", "fused")
MEAN = "mean"
OVERLAP, DISTANCE = "Dice", "HD95"

HD95_IS = (
    "HD95 in mm: the larger of the two directed 95th percentiles of the distances between both surfaces. A structure "
    "that either side lacks in a pair has none: it is left out and counted as missing."
)


@dataclass(frozen=True)
class Cell:
    """One figure of one arm over the pairs that have it.

    Attributes:
        structure: whose; `MEAN` over those of a pair, or empty for figures of whole pairs.
        mean, std: over pairs.
        n: the number of pairs that have it; HD95 leaves out those where a side lacks the structure.
        missing: values that are left out, each of one pair and, of HD95, one structure.
        values: all values, those among them.
    """

    arm: Arm
    figure: str
    structure: str
    mean: float
    std: float
    n: int
    missing: int = 0
    values: int = 0

    @property
    def text(self) -> str:
        """Mean and standard deviation for people, and how many values are missing where any is."""
        text = f"{self.mean:.3f} ± {self.std:.3f}" if self.n else "-"
        return f"{text} ({self.missing} of {self.values} missing)" if self.missing else text


def cells(records: Iterable[Record]) -> list[Cell]:
    """All figures by arm; of Dice and HD95 the mean over a pair's structures first, then each structure."""
    every = list(records)
    found = []
    for arm in TITLES:
        own = [record for record in every if record.arm == arm.value]
        for figure in (OVERLAP, DISTANCE):
            for source in SOURCES:
                scores = [(r.dice if figure == OVERLAP else r.hd95)[source] for r in own if source in r.dice]
                structures = dict.fromkeys(name for score in scores for name in score)
                name = f"{source} {figure}"
                if scores:
                    every_value = [value for score in scores for value in score.values()]
                    found.append(_cell(arm, name, MEAN, [_mean(list(score.values())) for score in scores], every_value))
                for structure in structures:
                    values = [score[structure] for score in scores if structure in score]
                    found.append(_cell(arm, name, structure, values))
        for figure in dict.fromkeys(name for record in own for name in record.figures):
            # Records that an earlier version wrote may lack one.
            found.append(_cell(arm, figure, "", [r.figures[figure] for r in own if figure in r.figures]))
    return found


def write_tables(folder: Path, records: Sequence[Record]) -> None:
    """Write `table.csv`, one line for each figure, and `table.md`; `OSError` where the folder cannot be written."""
    found = cells(records)
    with (folder / CSV).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("arm", "figure", "structure", "mean", "std", "pairs", "missing", "values"))
        for c in found:
            means = (f"{c.mean:.6g}", f"{c.std:.6g}")
            writer.writerow((c.arm.value, c.figure, c.structure, *means, c.n, c.missing, c.values))
    (folder / MARKDOWN).write_text(markdown(found), encoding="utf-8")


def markdown(found: Sequence[Cell]) -> str:
    """The main table and those of each structure's Dice and HD95, mean ± standard deviation over pairs."""
    wholes = [cell for cell in found if cell.structure in ("", MEAN)]
    texts = [_table(dict.fromkeys(cell.figure for cell in wholes), [(c.arm, c.figure, c.text) for c in wholes])]
    if any(cell.figure.endswith(DISTANCE) for cell in wholes):
        texts.append(f"{HD95_IS}\n")
    for figure, source in product((OVERLAP, DISTANCE), SOURCES):
        parts = [c for c in found if c.figure == f"{source} {figure}" and c.structure != MEAN]
        if parts:
            columns = dict.fromkeys(cell.structure for cell in parts)
            texts.append(f"{figure}, {source}:\n")
            texts.append(_table(columns, [(c.arm, c.structure, c.text) for c in parts]))
    return "\n".join(texts)


def draw(picture: Path, records: Sequence[Record]) -> None:
    """Box plots of each structure's Dice, an arm beside the other; `JobError` EXTRA_MISSING without matplotlib."""
    sources = [source for source in SOURCES if any(source in record.dice for record in records)]
    structures = list(dict.fromkeys(name for r in records for score in r.dice.values() for name in score))
    arms = [arm for arm in TITLES if any(record.arm == arm.value for record in records)]
    size = (max(6.0, 0.5 * len(structures) * len(arms)), 3.2 * len(sources))
    figure = load_extra("matplotlib.figure", "report", "The picture").Figure(figsize=size, layout="constrained")
    for axes, source in zip(np.atleast_1d(figure.subplots(len(sources), sharex=True)), sources, strict=True):
        for place, arm in enumerate(arms):
            own = [r.dice[source] for r in records if r.arm == arm.value and source in r.dice]
            values = [[score[name] for score in own if name in score] for name in structures]
            positions = np.arange(len(structures)) + (place + 0.5) / len(arms) * 0.8 - 0.4
            boxes = axes.boxplot(values, positions=positions, widths=0.7 / len(arms), patch_artist=True)
            for patch in boxes["boxes"]:
                patch.set_facecolor(f"C{place}")
            axes.plot([], color=f"C{place}", label=TITLES[arm])
        axes.set(title=f"Dice, {source}", ylim=(0, 1))
        axes.set_xticks(range(len(structures)), structures, rotation=60, ha="right")
        axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(picture, dpi=120)


def _cell(arm: Arm, figure: str, structure: str, values: list[float], every: list[float] | None = None) -> Cell:
    """Of one value for each pair; `every` holds what they are means of, where they are means."""
    known = [value for value in values if np.isfinite(value)]
    every = values if every is None else every
    missing = sum(not np.isfinite(value) for value in every)
    std = float(np.std(known)) if known else float("nan")
    return Cell(arm, figure, structure, _mean(known), std, len(known), missing, len(every))


def _mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _table(columns: Iterable[str], found: list[tuple[Arm, str, str]]) -> str:
    names = list(columns)
    texts = {(arm, column): text for arm, column, text in found}
    lines = [f"| {' | '.join(['', *names])} |", f"|{' --- |' * (len(names) + 1)}"]
    for arm in dict.fromkeys(arm for arm, _, _ in found):
        lines.append(f"| {' | '.join([TITLES[arm], *(texts.get((arm, name), '-') for name in names)])} |")
    return "\n".join(lines) + "\n"
