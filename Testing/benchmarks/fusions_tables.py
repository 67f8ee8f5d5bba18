"""The table of several atlases, in a page of its own."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from . import structures_tables
from .fusions import FUSIONS, PEER, WAYS, Fusing
from .markdown import table
from .parts import Part
from .rows import Line, Store, newest
from .structures_tables import Scores

_TEXT = """\
# Several atlases

Made by `python -m Testing.benchmarks --tables`; do not edit. `make bench PART=name DATA=folder` measures a part.

Mean Dice over the scored labels. The atlases of one target are registered once; all ways of fusing see the same warped
images and labels. **Fusion CPU s** leave reading and writing out, **peak** is of the whole process, **registration CPU
s** are of one atlas. No label of a target is seen before the score.
"""
_TEXTS = {
    "fusion": """\
5 atlases are 1000, 1001, 1002, 1006 and 1007; 14 are all subjects but the target. The settings were chosen on 1008 and
1010, but that joint fusion is the default and not local weights (0.0003 apart) was seen on these targets too. With 14
atlases 1008 and 1010 are among the atlases.
""",
    "fusion-abdomen": """\
By id, the first five subjects (00 to 04) are the atlases of each of the next three.
""",
    "fusion-lpba40": """\
By id, the first five subjects of `lpba40/` (`SNN_t1`, `SNN_labels`; S11 to S15) are the atlases of each of the next
three. Cerebellum and brain stem (181 and 182), which the images cut off, are not scored.
""",
}
_HEAD = ("atlases", "warped by", "fusion", "targets", "Dice", "fusion CPU s", "peak MB", "registration CPU s")
GAINS, GOALS = {5: 0.02, 14: 0.015}, {5: 0.735, 14: 0.765}
"""Over the majority of greedy's, and altogether, by number of atlases."""
_DEFAULT = ("normal", "joint")
_SHARE_OF_PEER = 1 / 20
_MOST_MB = 3000.0


def write_table(kept: Path, folder: Path) -> Path:
    """Write the page; returns it."""
    page = folder / "fusion.md"
    page.write_text(page_text(Store(kept)), encoding="utf-8")
    return page


def page_text(store: Store) -> str:
    """The page as text; rows that were not run are named."""
    return "\n".join([_TEXT, *(_section(part, store) for part in FUSIONS.values())])


def scores(store: Store) -> dict[str, Scores]:
    """Each structure's Dice of the parts that have lines."""
    found = {part.name: _scores(_found(part, store)) for part in FUSIONS.values()}
    return {name: each for name, each in found.items() if each}


def _found(part: Part, store: Store) -> dict[Fusing, Line]:
    lines = store.lines(part.name)
    return {row: line for row in part.rows if (line := newest(lines, row))}


def _scores(found: dict[Fusing, Line]) -> Scores:
    """Of the ways that every part has, the default first, with the fewest atlases: more would not fit a picture."""
    fewest = min((len(row.atlases) for row in found), default=0)
    ways = sorted(WAYS, key=lambda way: way != _DEFAULT)
    return structures_tables.collected(
        (", ".join(way), row.dataset, line)
        for way in ways
        for row, line in found.items()
        if (row.registered, row.method) == way and len(row.atlases) == fewest
    )


def _section(part: Part, store: Store) -> str:
    found = _found(part, store)
    groups: dict[tuple[int, str, str], list[Line]] = {}
    for row, line in found.items():
        groups.setdefault((len(row.atlases), row.registered, row.method), []).append(line)
    absent = [f"`{row.name}`" for row in part.rows if row not in found]
    text = [f"## {part.name}\n", f"{part.about[0].upper()}{part.about[1:]}.\n", _TEXTS[part.name]]
    if found:
        machines = {f"{line['machine']['processor']}, {line['machine']['cores']} cores" for line in found.values()}
        codes = {f"{line['commit']} ({line['code']})" for line in found.values()}
        text.append(f"{'; '.join(sorted(machines))}; {'; '.join(sorted(codes))}.\n")
        text.append(table(_HEAD, [_cells(group, each) for group, each in groups.items()]))
        if bars := _bars(groups) if part.name == "fusion" else []:
            text.append(table(("bar", "wanted", "found", ""), bars))
        text += structures_tables.section(part.name, _scores(found), store.folder, f"../{store.folder.name}")
        cells = [(str(len(r.atlases)), r.target, r.registered, r.method, f"{x['dice']:.4f}") for r, x in found.items()]
        text.append(table(("atlases", "target", "warped by", "fusion", "Dice"), cells))
    return "\n".join([*text, f"Rows not run: {', '.join(absent) or 'none'}.\n"])


def _cells(group: tuple[int, str, str], lines: list[Line]) -> tuple[str, ...]:
    count, registered, method = group
    keys = ("dice", "cpu_seconds", "command_peak_mb")
    dice, cpu, peak = (mean(line[key] for line in lines) for key in keys)
    each = mean(line["registration_cpu_seconds"] / count for line in lines)
    return str(count), registered, method, str(len(lines)), f"{dice:.4f}", f"{cpu:.1f}", f"{peak:.0f}", f"{each:.1f}"


def _bars(groups: dict[tuple[int, str, str], list[Line]]) -> list[tuple[str, str, str, str]]:
    """(bar, wanted, found, verdict) of every bar whose rows were all run on the same targets."""
    rows = []
    for count, goal in GOALS.items():
        ours, greedy = groups.get((count, *_DEFAULT), []), groups.get((count, "greedy", "majority"), [])
        if ours:
            found = mean(line["dice"] for line in ours)
            rows.append(_bar(f"{count} atlases: Dice", goal, found, found >= goal, "at least"))
        if ours and {_target(line) for line in ours} == {_target(line) for line in greedy}:
            gain = mean(line["dice"] for line in ours) - mean(line["dice"] for line in greedy)
            name = f"{count} atlases: Dice above the majority of greedy's"
            rows.append(_bar(name, GAINS[count], gain, gain >= GAINS[count], "at least"))
    ours, peer = groups.get((5, *_DEFAULT), []), groups.get((5, "normal", PEER), [])
    if ours:
        peak = max(line["command_peak_mb"] for line in ours)
        rows.append(_bar("5 atlases: peak MB of the fusion", _MOST_MB, peak, peak <= _MOST_MB, "at most"))
    if ours and peer:
        most = _SHARE_OF_PEER * mean(line["cpu_seconds"] for line in peer)
        cpu = mean(line["cpu_seconds"] for line in ours)
        rows.append(_bar("5 atlases: CPU s, a twentieth of ANTs", most, cpu, cpu <= most, "at most"))
    return rows


def _bar(name: str, wanted: float, found: float, met: bool, words: str) -> tuple[str, str, str, str]:
    verdict = "met" if met else f"missed by {abs(wanted - found):.4g}"
    return name, f"{words} {wanted:.4g}", f"{found:.4g}", verdict


def _target(line: Line) -> str:
    return str(line["settings"]["target"])
