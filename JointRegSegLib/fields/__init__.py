"""Displacement fields as torch tensors: (B, 3, D, H, W), voxels, channel i along tensor axis i, align_corners=True."""

from JointRegSegLib.volumes.boxes import Box

from .axes import along_axes
from .differences import central_difference
from .inverse import inverse
from .jacobian import jacobian_determinant
from .landing import landings
from .millimetres import (
    Matrix,
    affine_positions,
    apply_matrix,
    displaced_positions,
    displacement_lps,
    from_lps,
    lattice_places,
    residual_of,
    to_lps,
    voxel_matrix,
)
from .resize import resize_field, resize_image, shrink_image, shrinking
from .sampling import Shape, identity, sample, sample_lattice, shape_of
from .smoothing import BLUR_PER_FACTOR, binomial, box_mean, coarsened, gaussian
from .velocity import exponential
from .volume_change import even_volumes
from .warp import compose, warp

__all__ = [
    "BLUR_PER_FACTOR",
    "Box",
    "Matrix",
    "Shape",
    "affine_positions",
    "along_axes",
    "apply_matrix",
    "binomial",
    "box_mean",
    "central_difference",
    "coarsened",
    "compose",
    "displaced_positions",
    "displacement_lps",
    "even_volumes",
    "exponential",
    "from_lps",
    "gaussian",
    "identity",
    "inverse",
    "jacobian_determinant",
    "landings",
    "lattice_places",
    "residual_of",
    "resize_field",
    "resize_image",
    "sample",
    "sample_lattice",
    "shape_of",
    "shrink_image",
    "shrinking",
    "to_lps",
    "voxel_matrix",
    "warp",
]
