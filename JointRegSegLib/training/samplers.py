"""Which subjects a step sees.

A sampler is a sequence without end: its item at a position depends on its seed and the position alone, so whoever
knows how many items were drawn can go on where a killed run stopped, and every process of a team draws the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import permutations, product

import torch

from .seeds import generator

Item = tuple[str, ...]
"""Ids of subjects; of a pair (moving, fixed)."""


class Sampler(ABC):
    """What training draws from; `len` is the number of items in one epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Items in one epoch."""

    @abstractmethod
    def __getitem__(self, position: int) -> Item:
        """The item at a position, 0 and up."""


class Shuffled(Sampler):
    """Every item once in each epoch, in another order each time. `ValueError` without items."""

    def __init__(self, items: Sequence[Item], seed: int) -> None:
        if not items:
            raise ValueError("a sampler needs at least one item")
        self.items = tuple(items)
        self._seed = seed
        self._epoch, self._order = -1, [0]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Item:
        epoch, place = divmod(position, len(self.items))
        if epoch != self._epoch:
            self._order = torch.randperm(len(self.items), generator=generator(self._seed, "epoch", epoch)).tolist()
            self._epoch = epoch
        return self.items[self._order[place]]


class Images(Shuffled):
    """Single subjects."""

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        super().__init__([(name,) for name in ids], seed)


class AtlasPairs(Shuffled):
    """Each labelled subject moves onto each unlabelled one: N M pairs (PGCNet, Bi-JROS)."""

    def __init__(self, labelled: Sequence[str], unlabelled: Sequence[str], seed: int) -> None:
        super().__init__(list(product(labelled, unlabelled)), seed)


class AllOrderedPairs(Shuffled):
    """Each subject moves onto each other one: n (n - 1) pairs (MMLN)."""

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        super().__init__(list(permutations(ids, 2)), seed)


class LabelledOrAccepted(AllOrderedPairs):
    """All ordered pairs of subjects with a manual label or an accepted pseudo-label (JRSS, the set X')."""

    def __init__(self, labelled: Sequence[str], accepted: Sequence[str], seed: int) -> None:
        super().__init__([*labelled, *accepted], seed)


class TwoStream(Sampler):
    """One labelled and one other subject at a time (UA-MT's sampler, for JRSS); an epoch shows each of the others."""

    def __init__(self, labelled: Sequence[str], others: Sequence[str], seed: int) -> None:
        self._labelled, self._others = Images(labelled, seed), Images(others, seed + 1)

    def __len__(self) -> int:
        return max(len(self._labelled), len(self._others))

    def __getitem__(self, position: int) -> Item:
        return self._labelled[position] + self._others[position]


class AvailabilityBuckets(Sampler):
    """All ordered pairs, sorted by which side has a label (DeepAtlas).

    Attributes:
        buckets: "00", "01", "10", "11" (moving, then fixed; 1 is labelled) -> its pairs; N labelled and M unlabelled
            subjects give M (M - 1), N M, N M and N (N - 1).
    """

    def __init__(
        self,
        labelled: Sequence[str],
        unlabelled: Sequence[str],
        seed: int,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        """Draw a bucket by weight, then a pair of it; in proportion to the pairs in them where no weights are given.

        An empty bucket is never drawn. `ValueError` where no pair is left.
        """
        known = set(labelled)
        self.buckets: dict[str, tuple[Item, ...]] = {"00": (), "01": (), "10": (), "11": ()}
        for pair in permutations([*labelled, *unlabelled], 2):
            key = "".join("1" if name in known else "0" for name in pair)
            self.buckets[key] += (pair,)
        shares = {key: len(pairs) if weights is None else weights.get(key, 0.0) for key, pairs in self.buckets.items()}
        self._names = [key for key, pairs in self.buckets.items() if pairs and shares[key] > 0]
        if not self._names:
            raise ValueError("every bucket with a weight is empty")
        self._weights = torch.tensor([shares[key] for key in self._names], dtype=torch.float64)
        self._seed = seed

    def __len__(self) -> int:
        return sum(len(self.buckets[name]) for name in self._names)

    def __getitem__(self, position: int) -> Item:
        random = generator(self._seed, "bucket", position)
        bucket = self.buckets[self._names[int(torch.multinomial(self._weights, 1, generator=random))]]
        return bucket[int(torch.randint(len(bucket), (1,), generator=random))]
