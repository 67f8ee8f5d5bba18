"""STAPLE (Warfield et al., IEEE TMI 2004) for several labels (Rohlfing et al., IPMI 2003), SimpleITK's filter."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from .counting import Consensus
from .stack import Stack, disputed

_ITERATIONS = 50


def staple(stack: Stack) -> Consensus:
    """How often each atlas takes which label for which is estimated with the truth, and votes count accordingly.

    Estimated where atlases differ: the many voxels where they agree, mostly air, would make all of them near perfect.
    The filter tells no probabilities; the confidence is the share of the atlases that have the label. Where it cannot
    decide, the most frequent label stays, of equally frequent ones the smallest.
    """
    found = stack.labels[0].copy()
    where = disputed(stack.labels)
    confidence = np.ones(stack.shape, np.float32)
    if where.any():
        values, compact = np.unique(stack.labels[:, where], return_inverse=True)
        votes = compact.reshape(len(stack), -1)
        rows = [sitk.GetImageFromArray(row.astype(np.uint16)[None, None]) for row in votes]
        rule = sitk.MultiLabelSTAPLEImageFilter()
        rule.SetMaximumNumberOfIterations(_ITERATIONS)
        rule.SetLabelForUndecidedPixels(len(values))
        decided = sitk.GetArrayFromImage(rule.Execute(rows))[0, 0].astype(np.int64)
        counts = np.stack([(votes == row).sum(0) for row in votes])
        ranked = np.where(counts == counts.max(0), votes, len(values)).min(0)
        decided = np.where(decided == len(values), ranked, decided)
        found[where] = values[decided]
        confidence[where] = (votes == decided).mean(0)
    return Consensus(found, confidence)
