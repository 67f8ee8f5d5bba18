"""`python -m Testing.benchmarks`: list the parts, run one, or write the tables."""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from . import (
    batches,
    batches_run,
    fusions,
    fusions_run,
    guides,
    guides_run,
    networks,
    networks_run,
    runner,
    studies,
    studies_run,
)
from .parts import PARTS, SHORT, AnyRow
from .provenance import ROOT
from .rows import Store, newest_of_any_budget, record
from .runner import run_rows

RESULTS = ROOT / "bench-results"
KEPT = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
METHOD_PAGES = ROOT / "docs" / "methods"
SHORT_MINUTES = 19.0
# Parts that are no registrations of a pair are left out of the page: they have tables of their own.
KINDS = (
    (PARTS, runner),
    (guides.GUIDES, guides_run),
    (studies.STUDIES, studies_run),
    (networks.NETWORKS, networks_run),
    (fusions.FUSIONS, fusions_run),
    (batches.BATCHES, batches_run),
)


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 where a row has no figures yet, or 2 where the arguments or the data do not do."""
    parser = argparse.ArgumentParser(prog="python -m Testing.benchmarks", description=__doc__)
    parser.add_argument("--part", default="", help=f"run this part instead of the short one ({SHORT})")
    parser.add_argument("--data", default="", help="folder of the data sets (default: the environment's JRS_DATA)")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="only rows whose name matches, such as '*/fast'")
    parser.add_argument("--minutes", type=float, help="start no row that would end later; the next run goes on there")
    parser.add_argument("--threads", type=int, help="of each row, where another number than its own is wanted")
    parser.add_argument("--train-minutes", type=float, metavar="M", help="of each training (default: the row's own)")
    parser.add_argument("--refined", type=int, metavar="N", help="refine the first N test subjects of a training only")
    parser.add_argument("--list", action="store_true", help="only list the parts and how far they are")
    parser.add_argument("--tables", action="store_true", help=f"keep the newest lines and write {PAGE.name} from them")
    chosen = parser.parse_args(arguments)
    if chosen.tables:
        _tables()
        return 0
    every = {name: (part, bench) for parts, bench in KINDS for name, part in parts.items()}
    for part, _ in every.values():
        print(f"{part.name:15} {len(part.rows):3} rows, about {part.minutes:2} min on 2 cores: {part.about}")
    if chosen.list:
        return 0
    name = chosen.part or SHORT
    if name not in every:
        print(f"\nThere is no part {name!r}: choose one of the above.", file=sys.stderr)
        return 2
    data = chosen.data or os.environ.get("JRS_DATA", "")
    if not data:
        print("\nNo data folder: make bench DATA=folder, or set JRS_DATA (see docs/benchmarks.md).", file=sys.stderr)
        return 2
    part, bench = every[name]
    rows = [with_budget(row, chosen) for row in part.rows if fnmatch.fnmatch(row.name, chosen.rows)]
    lacking = bench.missing(rows, Path(data))
    if lacking:
        print(f"\nThe data folder lacks {len(lacking)} files, among them {lacking[0]}.", file=sys.stderr)
        return 2
    minutes = chosen.minutes if chosen.minutes or chosen.part else SHORT_MINUTES
    print(f"\nPart {name}, {len(rows)} rows, lines go to {RESULTS.name}/{name}.jsonl", flush=True)
    left = run_rows(rows, Path(data), Store(RESULTS), minutes, bench)
    if left:
        print(f"\n{len(left)} rows have no figures yet; the same command goes on with them:")
        print("\n".join(f"  {row.name}" for row in left))
    return 1 if any_failed(left, name) else 0


def with_budget(row: Any, chosen: argparse.Namespace) -> Any:
    """The row with what was asked for in its budget."""
    names = [field.name for field in fields(row.budget)]
    asked = {name: value for name, value in vars(chosen).items() if name in names and value is not None}
    return replace(row, budget=replace(row.budget, **asked))


def _tables() -> None:
    """Keep the newest lines and write what is made from them."""
    # They import scipy, which the process that runs rows does without.
    from . import batches_tables, comparison_tables, fusions_tables, networks_tables, pictures, studies_tables, tables

    results = Store(RESULTS)
    record(results, KEPT)
    for parts in (studies.STUDIES, networks.NETWORKS, batches.BATCHES):
        record(results, KEPT, parts.values(), newest_of_any_budget)
    for others in (fusions.FUSIONS, guides.GUIDES):
        record(results, KEPT, others.values())
    pictures.draw_all(KEPT, tables.scores(Store(KEPT)) | fusions_tables.scores(Store(KEPT)))
    tables.write_tables(KEPT, PAGE)
    modules = (networks_tables, comparison_tables, fusions_tables, batches_tables)
    made = [module.write_table(KEPT, METHOD_PAGES) for module in modules]
    pages = [PAGE, *studies_tables.write_tables(KEPT, METHOD_PAGES), *made]
    print("wrote " + ", ".join(str(page.relative_to(ROOT)) for page in pages))


def any_failed(left: list[AnyRow], part: str) -> bool:
    """Whether one of these rows was tried."""
    failed = {line["row"] for line in Store(RESULTS).lines(part) if "error" in line}
    return any(row.name in failed for row in left)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the row's process ends too
    sys.exit(main())
