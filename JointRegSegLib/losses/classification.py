"""How far predicted classes are from labels, or from another prediction."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .precision import in_single_precision

_TINY = 1e-7


@in_single_precision
def cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, ignore: int = -1, hardest: float | None = None
) -> Tensor:
    """Cross entropy of each sample: the mean of the voxels' log-losses, each weighted as its label's class.

    With `balanced_weights` it is the mean over the classes that occur of their mean log-losses, which is the weighted
    cross entropy of PGCNet (Tan et al., MICCAI 2023), absent classes left out.

    Args:
        logits: (B, K, D, H, W).
        labels: integers (B, 1, D, H, W).
        weights: of the classes, (K,) or (B, K).
        ignore: the label of voxels that do not count.
        hardest: count only this share of the voxels, those with the largest log-losses.

    Returns: (B,); 0 where no voxel counts.
    """
    labels = labels.long()
    losses = F.cross_entropy(logits, labels[:, 0], ignore_index=ignore, reduction="none").flatten(1)
    flat = labels.flatten(1)
    counted = flat != ignore
    share = counted.to(losses)
    if weights is not None:
        of_sample = weights.to(losses).expand(len(losses), logits.shape[1])
        share = share * of_sample.gather(1, flat.masked_fill(~counted, 0))
    if hardest is not None:
        share = share * _hardest(losses.detach(), counted, hardest)
    return (share * losses).sum(1) / share.sum(1).clamp(min=_TINY)


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """P / P_n, all voxels by those of class n, of each sample; 0 for classes that it lacks (PGCNet).

    Args:
        labels: integers (B, 1, D, H, W); those outside 0 to `classes` - 1 are not counted.
        classes: K, background included.

    Returns: (B, K).
    """
    flat = labels.flatten(1).long()
    inside = (flat >= 0) & (flat < classes)
    counts = torch.stack([torch.bincount(x[i], minlength=classes) for x, i in zip(flat, inside, strict=True)])
    shares = counts.sum(1, keepdim=True) / counts.clamp(min=1)
    return torch.where(counts > 0, shares, 0.0)


def root_weights(counts: Tensor, background: float = 0.5) -> Tensor:
    """sqrt(1 / n_c) by its mean over the classes that occur, then the background's set (JRSS, Shi et al., BSPC 2023).

    Args:
        counts: voxels of each class (K,), background at 0.
        background: the weight of class 0.

    Returns: (K,); 0 for classes without a voxel.
    """
    roots = torch.where(counts > 0, counts.clamp(min=1).float().rsqrt(), 0.0)
    weights = roots * (counts > 0).sum() / roots.sum().clamp(min=_TINY)
    weights[0] = background
    return weights


@in_single_precision
def symmetric_kl(p: Tensor, q: Tensor) -> Tensor:
    """Mean over voxels and classes of (p - q) (log p - log q), of each sample; JRSS' L_u (Shi et al., BSPC 2023).

    Args:
        p, q: probabilities (B, K, D, H, W).

    Returns: (B,), at least 0, and 0 where p = q.
    """
    return ((p - q) * (p.clamp(min=_TINY).log() - q.clamp(min=_TINY).log())).mean((1, 2, 3, 4))


def _hardest(losses: Tensor, counted: Tensor, share: float) -> Tensor:
    """The counted voxels (B, P) whose losses are among the sample's largest `share`."""
    chosen = torch.zeros_like(counted)
    for sample, inside, out in zip(losses, counted, chosen, strict=True):
        many = math.ceil(share * int(inside.sum()))
        if many:
            least = sample[inside].topk(many, sorted=False).values.min()
            out.copy_(inside & (sample >= least))
    return chosen
