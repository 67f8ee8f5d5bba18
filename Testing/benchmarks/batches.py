"""What is measured of cohorts: how many cases an hour, with one worker, with two, and through a scheduler."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .parts import Budget, Part, key_of

_BUDGET = Budget(limit_seconds=3600)
ATLAS, TARGETS = "1000", ("1010", "1012", "1014", "1015")


@dataclass(frozen=True)
class Batch:
    """One cohort of brains.

    Attributes:
        through: "here", or "dask" for a `LocalCluster` of separate processes.
        workers: cases at a time; they share the budget's threads.
        quality: of each case.
        budget: what the row may use.
    """

    through: str
    workers: int
    quality: str = "fast"
    part: str = "batch"
    dataset: str = "oasis"
    budget: Budget = _BUDGET

    @property
    def name(self) -> str:
        """One word that tells this row from all others."""
        return f"{self.part}/{self.dataset}/{self.through}/{self.workers}/{self.quality}"

    @property
    def settings(self) -> dict[str, object]:
        """Everything that decides the row's figures besides budget, code and machine."""
        own = {k: v for k, v in asdict(self).items() if k not in ("part", "budget")}
        return {**own, "atlas": ATLAS, "targets": list(TARGETS)}

    @property
    def key(self) -> str:
        """Of settings and budget."""
        return key_of(self.settings, self.budget)


_ROWS = tuple(Batch(through, workers) for through, workers in (("here", 1), ("here", 2), ("dask", 2)))
BATCHES = {"batch": Part("batch", "4 brains as a cohort: one worker, two, and two of a Dask scheduler", 8, _ROWS)}
