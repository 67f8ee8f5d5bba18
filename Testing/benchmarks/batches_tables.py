"""The table of cohorts, in a page of its own."""

from __future__ import annotations

from pathlib import Path

from .batches import BATCHES
from .markdown import table
from .rows import Line, Store, newest_of_any_budget

_TEXT = """\
# Batches: throughput

Made by `python -m Testing.benchmarks --tables`; do not edit. `make bench PART=batch DATA=folder` measures.

Four brains with one atlas, Fast, as `jointregseg batch` computes them without pages; the workers share two threads.
**Idle** is the share of the workers' time in which no case ran. **Scheduler** is how many cases fewer an hour Dask's
workers compute than as many threads of the command itself.
"""
_HEAD = ("through", "workers", "cases an hour", "s a case", "CPU s a case", "idle %", "scheduler %", "commit")


def write_table(kept: Path, folder: Path) -> Path:
    """Write the page; returns it."""
    page = folder / "batches.md"
    page.write_text(page_text(Store(kept)), encoding="utf-8")
    return page


def page_text(store: Store) -> str:
    """The page as text; rows that were not run are named."""
    rows, absent, machines = [], [], set()
    here: dict[int, Line] = {}
    for row in BATCHES["batch"].rows:
        line = newest_of_any_budget(store.lines(row.part), row)
        if line is None:
            absent.append(f"`{row.name}`")
            continue
        if row.through == "here":
            here[row.workers] = line
        machines.add(f"{line['machine']['processor']}, {line['machine']['cores']} cores")
        beside = here.get(row.workers) if row.through != "here" else None
        share = f"{100 * (1 - line['cases_per_hour'] / beside['cases_per_hour']):.1f}" if beside else ""
        cells = (f"{line['cases_per_hour']:.0f}", f"{line['case_seconds']:.1f}")
        cpu = f"{line['command_cpu_seconds'] / line['cases']:.1f}"
        rows.append(
            (row.through, str(row.workers), *cells, cpu, f"{100 * line['idle_share']:.1f}", share, line["commit"])
        )
    shown = [f"{'; '.join(sorted(machines))}.\n", table(_HEAD, rows)] if rows else []
    return "\n".join([_TEXT, *shown, f"Rows not run: {', '.join(absent) or 'none'}.\n"])
