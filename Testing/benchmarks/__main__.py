"""`python -m Testing.benchmarks`: list the parts, run one, or write the tables."""

from __future__ import annotations

import argparse
import fnmatch
import os
import signal
import sys
from pathlib import Path

from .parts import PARTS, SHORT, Row
from .provenance import ROOT
from .rows import Store, record
from .runner import missing, run_rows
from .tables import write_tables

RESULTS = ROOT / "bench-results"
KEPT = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
SHORT_MINUTES = 19.0


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 1 where a row has no figures yet, or 2 where the arguments or the data do not do."""
    parser = argparse.ArgumentParser(prog="python -m Testing.benchmarks", description=__doc__)
    parser.add_argument("--part", default="", help=f"run this part instead of the short one ({SHORT})")
    parser.add_argument("--data", default="", help="folder of the data sets (default: the environment's JRS_DATA)")
    parser.add_argument("--rows", default="*", metavar="PATTERN", help="only rows whose name matches, such as '*/fast'")
    parser.add_argument("--minutes", type=float, help="start no row that would end later; the next run goes on there")
    parser.add_argument("--list", action="store_true", help="only list the parts and how far they are")
    parser.add_argument("--tables", action="store_true", help=f"keep the newest lines and write {PAGE.name} from them")
    chosen = parser.parse_args(arguments)
    if chosen.tables:
        record(Store(RESULTS), KEPT)
        write_tables(KEPT, PAGE)
        print(f"wrote {PAGE.relative_to(ROOT)}")
        return 0
    for part in PARTS.values():
        print(f"{part.name:15} {len(part.rows):3} rows, about {part.minutes:2} min on 2 cores: {part.about}")
    if chosen.list:
        return 0
    name = chosen.part or SHORT
    if name not in PARTS:
        print(f"\nThere is no part {name!r}: choose one of the above.", file=sys.stderr)
        return 2
    data = chosen.data or os.environ.get("JRS_DATA", "")
    if not data:
        print("\nNo data folder: make bench DATA=folder, or set JRS_DATA (see docs/benchmarks.md).", file=sys.stderr)
        return 2
    rows = [row for row in PARTS[name].rows if fnmatch.fnmatch(row.name, chosen.rows)]
    lacking = missing(rows, Path(data))
    if lacking:
        print(f"\nThe data folder lacks {len(lacking)} files, among them {lacking[0]}.", file=sys.stderr)
        return 2
    minutes = chosen.minutes if chosen.minutes or chosen.part else SHORT_MINUTES
    print(f"\nPart {name}, {len(rows)} rows, lines go to {RESULTS.name}/{name}.jsonl", flush=True)
    left = run_rows(rows, Path(data), Store(RESULTS), minutes)
    if left:
        print(f"\n{len(left)} rows have no figures yet; the same command goes on with them:")
        print("\n".join(f"  {row.name}" for row in left))
    return 1 if any_failed(left, name) else 0


def any_failed(left: list[Row], part: str) -> bool:
    """Whether one of these rows was tried."""
    failed = {line["row"] for line in Store(RESULTS).lines(part) if "error" in line}
    return any(row.name in failed for row in left)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the row's process ends too
    sys.exit(main())
