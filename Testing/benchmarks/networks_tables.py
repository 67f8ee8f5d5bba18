"""The table of the networks' speed, in a page of its own."""

from __future__ import annotations

from pathlib import Path

from .markdown import table
from .networks import NETWORKS, WholeMethod
from .networks_run import times_floor
from .rows import Store, newest_of_any_budget

_TEXT = """\
# Networks: time and memory

Made by `python -m Testing.benchmarks --tables`; do not edit. `make bench PART=networks DATA=folder` measures.

One scan, or one pair, at a time; a step is forward, backward and Adam. **Floor** is the time of the multiply-adds of
all convolutions and matrix products at the rate of a float32 matrix product measured in the same process; sampling,
normalisation and activations count in the time alone. **Times floor** compares CPU seconds, which other work on the
machine changes least, and seconds on a GPU and where a line has no others. The fastest of five is shown. Memory is the
peak of the whole process on a CPU, PyTorch included, and of PyTorch's own on a GPU.

Of a **whole** method with the paper's settings, forward is what a run asks of its model: to register a pair and, where
it segments, to segment the target. A step is its trainer's, for PGCNet with the joint loss, for MMLN at the finest
level, and for Bi-JROS one of each decoder; where the trainer computes in bfloat16, its floor is still that of float32.
The faster of two is shown, and at 160x192x160 a single one.
"""
_HEAD = ("network", "size", "", "s", "CPU s", "floor s", "times floor", "billion multiply-adds", "peak MB")
_WHERE = ("threads", "processor", "commit")


def write_table(kept: Path, folder: Path) -> Path:
    """Write the page; returns it."""
    page = folder / "networks.md"
    page.write_text(page_text(Store(kept)), encoding="utf-8")
    return page


def page_text(store: Store) -> str:
    """The page as text; rows that were not run are named."""
    rows, absent = [], []
    for row in NETWORKS["networks"].rows:
        line = newest_of_any_budget(store.lines(row.part), row)
        if line is None:
            absent.append(f"`{row.name}`")
            continue
        name = f"{row.network}, whole" if isinstance(row, WholeMethod) else row.network
        what = "step" if row.training else "forward"
        rows.append(
            (
                name,
                "x".join(map(str, row.size)),
                f"{what}, bfloat16" if line.get("bfloat16") else what,
                f"{line['seconds']:.3f}",
                f"{line['cpu_seconds']:.3f}" if "cpu_seconds" in line else "-",  # older lines have none
                f"{line['floor_seconds']:.3f}",
                f"{times_floor(line):.1f}",
                f"{line['multiply_adds'] / 1e9:.1f}",
                f"{line['peak_mb']:.0f}",
                str(line["budget"]["threads"]),
                f"{line['machine']['processor']}, {line['machine']['cores']} cores",
                line["commit"],
            )
        )
    shown = [table((*_HEAD, *_WHERE), rows)] if rows else []
    return "\n".join([_TEXT, *shown, f"Rows not run: {', '.join(absent) or 'none'}.\n"])
