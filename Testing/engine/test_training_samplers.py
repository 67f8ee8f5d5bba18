"""Which subjects a step sees: the counts of the papers, all of them, and the same ones again after a stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations

import pytest

from JointRegSegLib.training.samplers import (
    AllOrderedPairs,
    AtlasPairs,
    AvailabilityBuckets,
    Images,
    Item,
    LabelledOrAccepted,
    Sampler,
    TwoStream,
)
from JointRegSegLib.training.seeds import generator, seed_of

LABELLED = ("a", "b", "c")
UNLABELLED = ("p", "q", "r", "s", "t")
ALL = (*LABELLED, *UNLABELLED)

MAKERS: dict[str, Callable[[int], Sampler]] = {
    "images": lambda seed: Images(ALL, seed),
    "atlas pairs": lambda seed: AtlasPairs(LABELLED, UNLABELLED, seed),
    "all pairs": lambda seed: AllOrderedPairs(ALL, seed),
    "accepted": lambda seed: LabelledOrAccepted(LABELLED, UNLABELLED[:2], seed),
    "two streams": lambda seed: TwoStream(LABELLED, UNLABELLED, seed),
    "buckets": lambda seed: AvailabilityBuckets(LABELLED, UNLABELLED, seed),
}


def drawn(sampler: Sampler, first: int, last: int) -> list[Item]:
    return [sampler[place] for place in range(first, last)]


@pytest.mark.parametrize("name", MAKERS)
def test_a_sampler_goes_on_where_it_stopped(name: str) -> None:
    whole = drawn(MAKERS[name](1), 0, 100)
    assert drawn(MAKERS[name](1), 37, 100) == whole[37:]
    assert drawn(MAKERS[name](2), 0, 100) != whole
    assert len(set(whole)) > 1


@pytest.mark.parametrize("name", ["images", "atlas pairs", "all pairs", "accepted"])
def test_an_epoch_shows_everything_once_in_another_order_each_time(name: str) -> None:
    sampler = MAKERS[name](1)
    n = len(sampler)
    epochs = [drawn(sampler, k * n, (k + 1) * n) for k in range(3)]
    assert all(len(set(epoch)) == n for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert len({frozenset(epoch) for epoch in epochs}) == 1


def test_the_counts_are_the_papers() -> None:
    n, m = len(LABELLED), len(UNLABELLED)
    assert len(AtlasPairs(LABELLED, UNLABELLED, 0)) == n * m
    assert set(drawn(AtlasPairs(LABELLED, UNLABELLED, 0), 0, n * m)) == {(a, u) for a in LABELLED for u in UNLABELLED}
    assert len(AllOrderedPairs(ALL, 0)) == (n + m) * (n + m - 1)
    assert len(LabelledOrAccepted(LABELLED, UNLABELLED[:2], 0)) == (n + 2) * (n + 1)
    assert len(AtlasPairs([str(k) for k in range(5)], [f"u{k}" for k in range(255)], 0)) == 1275  # PGCNet, OASIS


def test_buckets_partition_all_ordered_pairs() -> None:
    n, m = len(LABELLED), len(UNLABELLED)
    buckets = AvailabilityBuckets(LABELLED, UNLABELLED, 0).buckets
    assert {key: len(pairs) for key, pairs in buckets.items()} == {
        "11": n * (n - 1),
        "01": n * m,
        "10": n * m,
        "00": m * (m - 1),
    }
    everything = [pair for pairs in buckets.values() for pair in pairs]
    assert Counter(everything) == Counter(permutations(ALL, 2))
    for key, pairs in buckets.items():
        for pair in pairs:
            assert key == "".join("1" if name in LABELLED else "0" for name in pair)


def test_buckets_are_drawn_by_weight() -> None:
    def counts(weights: dict[str, float] | None) -> Counter[str]:
        sampler = AvailabilityBuckets(LABELLED, UNLABELLED, 4, weights)
        keys = {pair: key for key, pairs in sampler.buckets.items() for pair in pairs}
        return Counter(keys[pair] for pair in drawn(sampler, 0, 2000))

    even = counts({"01": 1.0, "10": 1.0, "11": 2.0})
    assert even["00"] == 0
    assert [even[key] / 2000 for key in ("01", "10", "11")] == pytest.approx([0.25, 0.25, 0.5], abs=0.05)
    natural = counts(None)
    for key, pairs in AvailabilityBuckets(LABELLED, UNLABELLED, 4).buckets.items():
        assert natural[key] / 2000 == pytest.approx(len(pairs) / 56, abs=0.05)


def test_an_empty_bucket_is_never_drawn() -> None:
    sampler = AvailabilityBuckets(["a"], ["p", "q"], 0, {"11": 100.0, "10": 1.0})
    assert {item[0] for item in drawn(sampler, 0, 50)} == {"a"}
    with pytest.raises(ValueError, match="empty"):
        AvailabilityBuckets(["a"], [], 0)


def test_two_streams_pair_a_labelled_and_another_scan() -> None:
    sampler = TwoStream(LABELLED, UNLABELLED, 0)
    items = drawn(sampler, 0, 15)
    assert len(sampler) == 5
    assert Counter(a for a, _ in items) == dict.fromkeys(LABELLED, 5)
    assert Counter(b for _, b in items) == dict.fromkeys(UNLABELLED, 3)


def test_nothing_to_draw_is_an_error() -> None:
    for make in (lambda: AllOrderedPairs(["a"], 0), lambda: AtlasPairs(["a"], [], 0), lambda: Images([], 0)):
        with pytest.raises(ValueError, match="at least one"):
            make()


def test_seeds_depend_on_every_word() -> None:
    seeds = {seed_of(*words) for words in ((1, "reg", 2), (1, "reg", 3), (1, "seg", 2), (2, "reg", 2), (12, "reg"))}
    assert len(seeds) == 5
    assert generator(1, "x").initial_seed() == generator(1, "x").initial_seed()
