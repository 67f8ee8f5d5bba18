"""How well one image's intensities follow the other's, with gradients: over the whole image and in windows.

`lncc` and its force, which the registration without training uses, count windows by their contrast; what is here
counts as the papers on trained methods do.
"""

from __future__ import annotations

from torch import Tensor

from .lncc import FixedMoments, window_moments
from .precision import in_single_precision

_DIMS = (1, 2, 3, 4)
_TINY = 1e-12
_FLAT = 1e-5
"""Added to the product of two windows' summed squares, as VoxelMorph does (Balakrishnan et al., IEEE TMI 2019)."""


@in_single_precision
def global_ncc(a: Tensor, b: Tensor) -> Tensor:
    """Correlation coefficient of the whole images, of each sample; the similarity of MMLN and DeepAtlas.

    Args:
        a, b: (B, 1, D, H, W).

    Returns: (B,), -1 to 1, and 0 where an image is flat; a loss is 1 minus it.
    """
    a, b = a - a.mean(_DIMS, keepdim=True), b - b.mean(_DIMS, keepdim=True)
    covariance = (a * b).mean(_DIMS)
    return covariance * (a.square().mean(_DIMS) * b.square().mean(_DIMS) + _TINY).rsqrt()


@in_single_precision
def squared_lncc(a: Tensor, b: Tensor, width: int = 9) -> Tensor:
    """Mean of the windows' squared correlations, of each sample; the similarity of PGCNet and Bi-JROS.

    Args:
        a, b: (B, 1, D, H, W).
        width: of the windows, odd, in voxels; beyond the image they hold zeros.

    Returns: (B,), 0 to 1; flat windows count as 0, so that images with a flat background never reach 1.
    """
    _, _, variance_a, _, variance_b, covariance = window_moments(FixedMoments.of(a, width), b, None)
    return (covariance.square() / (variance_a * variance_b + _FLAT / width**6)).mean(_DIMS)
