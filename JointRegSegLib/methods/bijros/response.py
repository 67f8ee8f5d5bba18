"""How the leader foresees the follower: the gradient response of Bi-JROS (Fan et al., CVPR 2024, Eq. 4 to 6)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_TINY = 1e-12


def with_response(leader: Tensor, follower: Tensor, theta: Sequence[nn.Parameter]) -> tuple[Tensor, Tensor]:
    """What the leader minimises instead of its own objective, and the share of the follower's that is taken off.

    The follower's weights are the best for the leader's. Its Hessian is taken as g g^T, where g is the follower's
    gradient of its own weights; then the leader's gradient is that of leader - c follower with
    c = <d leader / d theta, g> / <g, g>, a constant.

    Args:
        leader, follower: their objectives, one number each, both of which depend on `theta`.
        theta: the follower's weights.
    """
    asked = torch.autograd.grad(leader, theta, retain_graph=True)
    own = torch.autograd.grad(follower, theta, retain_graph=True)
    share = _dot(asked, own) / (_dot(own, own) + _TINY)
    return leader - share * follower, share


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()
