"""Which similarity fits a pair of aligned images."""

from __future__ import annotations

from JointRegSegLib.job import Similarity

from .pair import Pair


def choose_similarity(pair: Pair) -> tuple[Similarity, str]:
    """The similarity for a pair of affinely aligned images, and why, in a sentence."""
    return Similarity.LNCC, "the scans have the same contrast up to local brightness."
