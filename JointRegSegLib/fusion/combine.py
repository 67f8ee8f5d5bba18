"""Several labelled atlases on one target, made one label map in the way that was asked for."""

from __future__ import annotations

from ..job.fusion import Fusion
from .counting import BLUR, TRUST, Consensus, consensus
from .joint import joint_weights
from .opinion import Opinion
from .similarity import similarity_weights
from .stack import Stack
from .staple import staple


def combine(stack: Stack, how: Fusion, opinion: Opinion | None = None) -> Consensus:
    """Fuse the atlases of a stack, and a network's opinion where there is one.

    MAJORITY counts votes as they are. LOCAL and JOINT weight them, blur them and look at the target's intensities;
    AUTO is JOINT.
    STAPLE hears no network: it estimates errors from label maps alone.
    """
    if how is Fusion.STAPLE:
        return staple(stack)
    if how is Fusion.MAJORITY:
        return consensus(stack, opinion=opinion)
    weights = similarity_weights(stack) if how is Fusion.LOCAL else joint_weights(stack)
    return consensus(stack, weights, opinion, BLUR, TRUST)
