"""The table of the networks' speed, in a page of its own."""

from __future__ import annotations

from pathlib import Path

from .markdown import table
from .networks import NETWORKS
from .rows import Store, newest_of_any_budget

_TEXT = """\
# Networks: time and memory

Made by `python -m Testing.benchmarks --tables`; do not edit. `make bench PART=networks DATA=folder` measures.

One scan, or one pair, at a time; a step is forward, backward and Adam. **Floor** is the time of the multiply-adds of
all convolutions and matrix products at the rate of a float32 matrix product measured in the same process; sampling,
normalisation and activations count in the time alone. The fastest of five is shown. Memory is the peak of the whole
process on a CPU, PyTorch included, and of PyTorch's own on a GPU.
"""
_HEAD = ("network", "size", "", "s", "floor s", "times floor", "billion multiply-adds", "peak MB", "threads", "commit")


def write_table(kept: Path, folder: Path) -> Path:
    """Write the page; returns it."""
    page = folder / "networks.md"
    page.write_text(page_text(Store(kept)), encoding="utf-8")
    return page


def page_text(store: Store) -> str:
    """The page as text; rows that were not run are named."""
    rows, absent, machines = [], [], set()
    for row in NETWORKS["networks"].rows:
        line = newest_of_any_budget(store.lines(row.part), row)
        if line is None:
            absent.append(f"`{row.name}`")
            continue
        seconds, floor = line["seconds"], line["floor_seconds"]
        machines.add(f"{line['machine']['processor']}, {line['machine']['cores']} cores")
        cells = [row.network, "x".join(map(str, row.size)), "step" if row.training else "forward"]
        cells += [f"{seconds:.3f}", f"{floor:.3f}", f"{seconds / floor:.1f}", f"{line['multiply_adds'] / 1e9:.1f}"]
        rows.append((*cells, f"{line['peak_mb']:.0f}", str(line["budget"]["threads"]), line["commit"]))
    shown = [f"{'; '.join(sorted(machines))}.\n", table(_HEAD, rows)] if rows else []
    return "\n".join([_TEXT, *shown, f"Rows not run: {', '.join(absent) or 'none'}.\n"])
