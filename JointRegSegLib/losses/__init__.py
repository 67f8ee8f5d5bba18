"""Similarity, overlap, classification and regularity: one definition each.

For the registration without training, a similarity comes with its force: its derivative by the warped image's
intensity, voxel by voxel; times the gradient of the warped image it says where every voxel wants to go. Analytic
forces cost a tenth of automatic differentiation. What trains networks is differentiated automatically, computes in
single precision, and gives one number for each sample of a batch.
"""

from .classification import balanced_weights, cross_entropy, root_weights, symmetric_kl
from .correlation import global_ncc, squared_lncc
from .gradient import image_gradient
from .intensity import mean_squares, mean_squares_force
from .lncc import FixedMoments, lncc, lncc_force
from .mind import mind_features
from .mutual_information import joint_histogram, mutual_information, mutual_information_force
from .overlap import DiceForm, soft_dice
from .regularity import bending_energy, diffusion

__all__ = [
    "DiceForm",
    "FixedMoments",
    "balanced_weights",
    "bending_energy",
    "cross_entropy",
    "diffusion",
    "global_ncc",
    "image_gradient",
    "joint_histogram",
    "lncc",
    "lncc_force",
    "mean_squares",
    "mean_squares_force",
    "mind_features",
    "mutual_information",
    "mutual_information_force",
    "root_weights",
    "soft_dice",
    "squared_lncc",
    "symmetric_kl",
]
