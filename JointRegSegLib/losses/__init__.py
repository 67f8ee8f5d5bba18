"""How alike two images are: one definition each, with the force that makes them more alike.

A force is the derivative of the similarity by the warped image's intensity, voxel by voxel; times the gradient of
the warped image it says where every voxel wants to go. Analytic forces cost a tenth of automatic differentiation.
"""

from .gradient import image_gradient
from .intensity import mean_squares, mean_squares_force
from .lncc import FixedMoments, lncc, lncc_force
from .mind import mind_features
from .mutual_information import joint_histogram, mutual_information, mutual_information_force

__all__ = [
    "FixedMoments",
    "image_gradient",
    "joint_histogram",
    "lncc",
    "lncc_force",
    "mean_squares",
    "mean_squares_force",
    "mind_features",
    "mutual_information",
    "mutual_information_force",
]
