"""Several opinions on where structures lie, made one."""

from .combine import combine
from .counting import BLUR, TRUST, Consensus, consensus
from .joint import best_matches, joint_weights
from .leave_one_out import learned_weight
from .opinion import Opinion
from .pooling import Fused, pool
from .review import SURE, confidence_of_labels, for_review
from .similarity import similarity_weights
from .stack import Stack, disputed
from .staple import staple

__all__ = [
    "BLUR",
    "SURE",
    "TRUST",
    "Consensus",
    "Fused",
    "Opinion",
    "Stack",
    "best_matches",
    "combine",
    "confidence_of_labels",
    "consensus",
    "disputed",
    "for_review",
    "joint_weights",
    "learned_weight",
    "pool",
    "similarity_weights",
    "staple",
]
